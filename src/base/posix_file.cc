#include "base/posix_file.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace millrace {
namespace {

Errc code_of(int error_number) {
  switch (error_number) {
    case ENOENT: return Errc::not_found;
    case EEXIST: return Errc::already_exists;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE: return Errc::exhausted;
    default: return Errc::unavailable;
  }
}

tl::unexpected<Error> fail_with_errno(std::string_view doing, std::string_view path) {
  return tl::unexpected(errno_error(doing, path, errno));
}

std::string parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

// Makes one directory, unless it is there, and its name durable.
Result<void> create_directory(const std::string& path) {
  if (mkdir(path.c_str(), 0755) == 0) return sync_directory(parent_of(path));
  const int mkdir_error = errno;
  struct stat status{};
  // A read-only or guarded parent is no obstacle where the directory already exists.
  if (stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return {};
    return tl::unexpected(errno_error("creating the directory", path, ENOTDIR));
  }
  return tl::unexpected(errno_error("creating the directory", path, mkdir_error));
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

FileDescriptor::~FileDescriptor() { reset(); }

void FileDescriptor::reset() {
  // Linux frees the descriptor whatever close() returns; calling it again could close another's.
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

Error errno_error(std::string_view doing, std::string_view path, int error_number) {
  return {code_of(error_number),
          fmt::format("{} {}: {}", doing, path, std::generic_category().message(error_number))};
}

Result<FileDescriptor> open_file(const std::string& path, int flags, unsigned mode) {
  int fd = -1;
  do {
    fd = open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return fail_with_errno("opening", path);
  return FileDescriptor(fd);
}

Result<std::string> read_file(const std::string& path) {
  MR_TRY_ASSIGN(const FileDescriptor file, open_file(path, O_RDONLY));
  std::string content;
  std::array<char, 64 * 1024> buffer;
  for (;;) {
    const ssize_t count = read(file.get(), buffer.data(), buffer.size());
    if (count == 0) return content;
    if (count > 0) {
      content.append(buffer.data(), static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      return fail_with_errno("reading", path);
    }
  }
}

Result<void> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      return fail_with_errno("writing", path);
    }
  }
  return {};
}

Result<void> sync_data(int fd, const std::string& path) {
  // Not repeated after any failure: the kernel may have dropped the pages that did not reach disk.
  if (fdatasync(fd) != 0) return fail_with_errno("syncing", path);
  return {};
}

Result<void> sync_directory(const std::string& path) {
  MR_TRY_ASSIGN(const FileDescriptor directory, open_file(path, O_RDONLY | O_DIRECTORY));
  if (fsync(directory.get()) != 0) return fail_with_errno("syncing the directory", path);
  return {};
}

Result<void> create_directories(const std::string& path) {
  if (path.empty()) return fail(Errc::not_found, "cannot create a directory without a name");
  std::size_t begin = path.find_first_not_of('/');
  while (begin != std::string::npos) {
    const std::size_t end = path.find('/', begin);
    MR_TRY(create_directory(path.substr(0, end)));
    begin = end == std::string::npos ? end : path.find_first_not_of('/', end);
  }
  return {};
}

}  // namespace millrace
