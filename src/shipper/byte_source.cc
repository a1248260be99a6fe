#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>

#include "base/posix_file.h"
#include "shipper/batch_reader.h"

namespace millrace::shipper {

namespace {

constexpr unsigned read_size_bytes = 1024 * 1024;

// zlib reads a file that is not gzip as it is.
class FileSource final : public ByteSource {
 public:
  FileSource(gzFile file, std::string path) : file_(file), path_(std::move(path)) {}
  ~FileSource() override { gzclose_r(file_); }

  Result<Outcome> read(std::string& out, std::chrono::milliseconds) override {
    const std::size_t size_before = out.size();
    out.resize(size_before + read_size_bytes);
    const int count = gzread(file_, out.data() + size_before, read_size_bytes);
    out.resize(size_before + static_cast<std::size_t>(std::max(count, 0)));
    int code = Z_OK;
    const char* reason = gzerror(file_, &code);
    // A truncated gzip file reads as a short one, with the error beside it.
    if (count < 0 || (count == 0 && code == Z_BUF_ERROR)) {
      return fail(Errc::unavailable, fmt::format("reading {}: {}", path_, reason));
    }
    return count == 0 ? Outcome::end : Outcome::some;
  }

 private:
  gzFile file_;
  const std::string path_;
};

class StandardInput final : public ByteSource {
 public:
  Result<Outcome> read(std::string& out, std::chrono::milliseconds timeout) override {
    pollfd waiting{STDIN_FILENO, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(timeout.count()));
    if (ready == 0 || (ready < 0 && errno == EINTR)) return Outcome::none_yet;
    if (ready < 0) return tl::unexpected(errno_error("waiting for", "standard input", errno));
    const std::size_t size_before = out.size();
    out.resize(size_before + read_size_bytes);
    const ssize_t count = ::read(STDIN_FILENO, out.data() + size_before, read_size_bytes);
    const int error_number = errno;
    out.resize(size_before + (count > 0 ? static_cast<std::size_t>(count) : 0));
    if (count < 0 && error_number == EINTR) return Outcome::none_yet;
    if (count < 0) return tl::unexpected(errno_error("reading", "standard input", error_number));
    return count == 0 ? Outcome::end : Outcome::some;
  }
};

}  // namespace

Result<std::unique_ptr<ByteSource>> open_source(const std::string& path) {
  if (path == "-") return std::make_unique<StandardInput>();
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return tl::unexpected(errno_error("opening", path, errno));
  struct stat status{};
  if (::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
    ::close(fd);
    return fail(Errc::invalid_argument, fmt::format("{} is a directory (want a log file)", path));
  }
  gzFile file = gzdopen(fd, "rb");
  if (file == nullptr) {
    ::close(fd);
    return fail(Errc::exhausted, fmt::format("opening {}: out of memory", path));
  }
  gzbuffer(file, 256 * 1024);
  return std::make_unique<FileSource>(file, path);
}

}  // namespace millrace::shipper
