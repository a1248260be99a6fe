#include "journal/journal_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/posix_file.h"

namespace millrace::journal {

namespace {

class PosixJournalFile final : public JournalFile {
 public:
  PosixJournalFile(std::string path, FileDescriptor file)
      : path_(std::move(path)), file_(std::move(file)) {}

  Result<void> append(std::string_view bytes) override {
    return write_all(file_.get(), bytes, path_);
  }

  Result<void> sync() override { return sync_data(file_.get(), path_); }

  Result<void> truncate(std::uint64_t size_bytes) override {
    if (::ftruncate(file_.get(), static_cast<off_t>(size_bytes)) != 0) {
      return tl::unexpected(errno_error("truncating", path_, errno));
    }
    return {};
  }

 private:
  const std::string path_;
  FileDescriptor file_;
};

class PosixJournalFileReader final : public JournalFileReader {
 public:
  PosixJournalFileReader(std::string path, FileDescriptor file)
      : path_(std::move(path)), file_(std::move(file)) {}

  Result<std::size_t> read(std::uint64_t at, char* to, std::size_t size_bytes) override {
    ssize_t count = -1;
    do {
      count = ::pread(file_.get(), to, size_bytes, static_cast<off_t>(at));
    } while (count < 0 && errno == EINTR);
    if (count < 0) return tl::unexpected(errno_error("reading", path_, errno));
    return static_cast<std::size_t>(count);
  }

 private:
  const std::string path_;
  FileDescriptor file_;
};

class PosixJournalFiles final : public JournalFiles {
 public:
  explicit PosixJournalFiles(std::string directory) : directory_(std::move(directory)) {}

  Result<std::unique_ptr<JournalFile>> create(const std::string& name) override {
    MR_TRY(remove(name));
    return open_with(name, O_WRONLY | O_APPEND | O_CREAT | O_EXCL);
  }

  Result<std::unique_ptr<JournalFile>> open(const std::string& name) override {
    return open_with(name, O_WRONLY | O_APPEND);
  }

  Result<std::unique_ptr<JournalFileReader>> open_to_read(const std::string& name) override {
    std::string path = directory_ + '/' + name;
    MR_TRY_ASSIGN(FileDescriptor file, open_file(path, O_RDONLY));
    return std::make_unique<PosixJournalFileReader>(std::move(path), std::move(file));
  }

  Result<void> remove(const std::string& name) override {
    const std::string path = directory_ + '/' + name;
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      return tl::unexpected(errno_error("removing", path, errno));
    }
    return {};
  }

  Result<void> sync_names() override { return sync_directory(directory_); }

 private:
  Result<std::unique_ptr<JournalFile>> open_with(const std::string& name, int flags) {
    std::string path = directory_ + '/' + name;
    MR_TRY_ASSIGN(FileDescriptor file, open_file(path, flags));
    return std::make_unique<PosixJournalFile>(std::move(path), std::move(file));
  }

  const std::string directory_;
};

}  // namespace

std::unique_ptr<JournalFiles> open_journal_files(std::string directory) {
  return std::make_unique<PosixJournalFiles>(std::move(directory));
}

}  // namespace millrace::journal
