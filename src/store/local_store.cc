#include "store/local_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>

#include "base/posix_file.h"
#include "base/random_id.h"
#include "store/object_key.h"

namespace millrace::store {

namespace {

namespace fs = std::filesystem;

constexpr auto temporary_age_max = std::chrono::hours(1);

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// A new file in `.tmp` that becomes an object or nothing.
class TemporaryFile {
 public:
  static Result<TemporaryFile> create(const std::string& root) {
    std::string path = fmt::format("{}/{}/{}", root, temporary_directory, random_uuid());
    MR_TRY_ASSIGN(auto file, open_file(path, O_WRONLY | O_CREAT | O_EXCL));
    return TemporaryFile(std::move(path), std::move(file));
  }

  TemporaryFile(TemporaryFile&& other) noexcept
      : path_(std::exchange(other.path_, {})), file_(std::move(other.file_)) {}
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  Result<void> write(std::string_view bytes) { return write_all(file_.get(), bytes, path_); }

  Result<void> replace(const std::string& target) {
    MR_TRY(prepare(target));
    if (::rename(path_.c_str(), target.c_str()) != 0) {
      return tl::unexpected(errno_error("renaming a new file to", target, errno));
    }
    path_.clear();
    return sync_name(target);
  }

  Result<void> link(const std::string& target) {
    MR_TRY(prepare(target));
    if (::link(path_.c_str(), target.c_str()) != 0) {
      return tl::unexpected(errno_error("creating", target, errno));
    }
    return sync_name(target);
  }

 private:
  TemporaryFile(std::string path, FileDescriptor file)
      : path_(std::move(path)), file_(std::move(file)) {}

  // The object is there by now, whatever comes of this: no error may say that nothing was written.
  static Result<void> sync_name(const std::string& target) {
    auto synced = sync_directory(directory_of(target));
    if (!synced) return fail(Errc::unavailable, std::move(synced).error().message);
    return {};
  }

  Result<void> prepare(const std::string& target) {
    MR_TRY(sync_data(file_.get(), path_));
    return create_directories(directory_of(target));
  }

  std::string path_;
  FileDescriptor file_;
};

class LocalObjectWriter final : public ObjectWriter {
 public:
  LocalObjectWriter(TemporaryFile file, std::string target)
      : file_(std::move(file)), target_(std::move(target)) {}

  Result<void> write(std::string_view bytes) override { return file_.write(bytes); }
  Result<void> finish() override { return file_.link(target_); }

 private:
  TemporaryFile file_;
  const std::string target_;
};

Timestamp modified_of(const struct stat& status) {
  return Timestamp(std::chrono::seconds(status.st_mtim.tv_sec) +
                   std::chrono::microseconds(status.st_mtim.tv_nsec / 1000));
}

}  // namespace

Result<std::unique_ptr<LocalStore>> LocalStore::open(std::string root) {
  const std::string temporary = fmt::format("{}/{}", root, temporary_directory);
  MR_TRY(create_directories(temporary));
  std::unique_ptr<LocalStore> store(new LocalStore(std::move(root)));
  MR_TRY(store->remove_unfinished("", SystemClock().now() - temporary_age_max));
  MR_TRY(TemporaryFile::create(store->root_));
  return store;
}

Result<std::unique_ptr<LocalStore>> LocalStore::open_read_only(std::string root) {
  std::error_code ignored;
  if (!fs::is_directory(root, ignored)) {
    return fail(Errc::not_found, fmt::format("{} is not a directory", root));
  }
  return std::unique_ptr<LocalStore>(new LocalStore(std::move(root)));
}

Result<std::string> LocalStore::path_of(std::string_view key) const {
  MR_TRY(check_key(key));
  return fmt::format("{}/{}", root_, key);
}

Result<void> LocalStore::put(std::string_view key, std::string_view bytes) {
  MR_TRY_ASSIGN(const std::string path, path_of(key));
  MR_TRY_ASSIGN(TemporaryFile file, TemporaryFile::create(root_));
  MR_TRY(file.write(bytes));
  return file.replace(path);
}

Result<void> LocalStore::put_if_absent(std::string_view key, std::string_view bytes) {
  MR_TRY_ASSIGN(const std::string path, path_of(key));
  MR_TRY_ASSIGN(TemporaryFile file, TemporaryFile::create(root_));
  MR_TRY(file.write(bytes));
  return file.link(path);
}

Result<std::unique_ptr<ObjectWriter>> LocalStore::create(std::string_view key) {
  MR_TRY_ASSIGN(std::string path, path_of(key));
  MR_TRY_ASSIGN(TemporaryFile file, TemporaryFile::create(root_));
  return std::make_unique<LocalObjectWriter>(std::move(file), std::move(path));
}

Result<std::string> LocalStore::get(std::string_view key) {
  MR_TRY_ASSIGN(const std::string path, path_of(key));
  return read_file(path);
}

Result<std::string> LocalStore::get_range(std::string_view key, std::uint64_t offset_bytes,
                                          std::uint64_t size_bytes) {
  MR_TRY_ASSIGN(const std::string path, path_of(key));
  MR_TRY_ASSIGN(const FileDescriptor file, open_file(path, O_RDONLY));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) {
    return tl::unexpected(errno_error("reading", path, errno));
  }
  const auto object_size = static_cast<std::uint64_t>(status.st_size);
  const std::uint64_t begin = std::min(offset_bytes, object_size);
  std::string bytes(std::min(size_bytes, object_size - begin), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::pread(file.get(), bytes.data() + done, bytes.size() - done,
                                  static_cast<off_t>(begin + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return tl::unexpected(errno_error("reading", path, errno));
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

Result<ObjectInfo> LocalStore::head(std::string_view key) {
  MR_TRY_ASSIGN(const std::string path, path_of(key));
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    return tl::unexpected(errno_error("reading", path, errno));
  }
  if (!S_ISREG(status.st_mode)) return fail(Errc::not_found, fmt::format("{} is no file", path));
  return ObjectInfo{std::string(key), static_cast<std::uint64_t>(status.st_size),
                    modified_of(status)};
}

Result<std::vector<ObjectInfo>> LocalStore::list(std::string_view prefix,
                                                 std::string_view start_after) {
  std::vector<ObjectInfo> objects;
  // The prefix's last segment may be a part of a name: the walk starts at the directory above it.
  const std::size_t slash = prefix.rfind('/');
  const std::string start = slash == std::string_view::npos
                                ? root_
                                : fmt::format("{}/{}", root_, prefix.substr(0, slash));
  std::error_code error;
  auto walk = fs::recursive_directory_iterator(start, error);
  for (; !error && walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    const std::string path = walk->path().string();
    if (walk->path().filename() == temporary_directory) {
      walk.disable_recursion_pending();
      continue;
    }
    std::string key = path.substr(root_.size() + 1);
    // A directory is entered only where it can hold keys of the prefix.
    const bool may_match = key.starts_with(prefix) || prefix.starts_with(key + '/');
    if (!may_match) {
      walk.disable_recursion_pending();
      continue;
    }
    struct stat status{};
    // A file that went away between the two calls is one that is not there.
    if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if (!key.starts_with(prefix) || key <= start_after) continue;
    objects.push_back(
        {std::move(key), static_cast<std::uint64_t>(status.st_size), modified_of(status)});
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(Errc::unavailable, fmt::format("listing {}: {}", start, error.message()));
  }
  std::sort(objects.begin(), objects.end(),
            [](const ObjectInfo& a, const ObjectInfo& b) { return a.key < b.key; });
  return objects;
}

Result<void> LocalStore::remove(std::string_view key) {
  MR_TRY_ASSIGN(const std::string path, path_of(key));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return tl::unexpected(errno_error("removing", path, errno));
  }
  return {};
}

// Objects are synced before they get their names, so the names are all that can be missing.
Result<void> LocalStore::make_durable(std::string_view prefix) {
  MR_TRY_ASSIGN(const std::string path, path_of(prefix));
  return sync_directory(path);
}

Result<std::vector<std::string>> LocalStore::list_folders(std::string_view prefix) {
  std::vector<std::string> names;
  std::error_code error;
  const std::string directory = fmt::format("{}/{}", root_, prefix);
  auto walk = fs::directory_iterator(directory, error);
  for (; !error && walk != fs::directory_iterator(); walk.increment(error)) {
    std::string name = walk->path().filename().string();
    if (name != temporary_directory && walk->is_directory(error)) names.push_back(std::move(name));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(Errc::unavailable, fmt::format("listing {}: {}", directory, error.message()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::unique_ptr<LocalFiles>> LocalStore::local_files(const std::vector<ObjectSize>& objects,
                                                            const StopCheck&) {
  class InPlace final : public LocalFiles {
   public:
    explicit InPlace(std::string root) : root_(std::move(root)) {}
    const std::string& root() const override { return root_; }

   private:
    const std::string root_;
  };
  for (const ObjectSize& object : objects) MR_TRY(head(object.key));
  return std::make_unique<InPlace>(root_);
}

Result<std::size_t> LocalStore::remove_unfinished(std::string_view, Timestamp until) {
  std::size_t count = 0;
  std::error_code error;
  for (const auto& entry :
       fs::directory_iterator(root_ + "/" + std::string(temporary_directory), error)) {
    struct stat status{};
    if (::stat(entry.path().c_str(), &status) != 0 || modified_of(status) >= until) continue;
    if (::unlink(entry.path().c_str()) == 0) ++count;
  }
  return count;
}

}  // namespace millrace::store
