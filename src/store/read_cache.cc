#include "store/read_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <mutex>
#include <numeric>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "base/posix_file.h"
#include "base/random_id.h"
#include "base/sha256.h"
#include "base/units.h"

// In the directory: `copies/` has a file for each object, named by its hash; `pins/` has a folder
// for each set of objects in use, with links to the copies under the objects' own names, and beside
// it a lock that its process holds. `lock` guards all of it but the fetching.
namespace millrace::store {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t piece_bytes = 8U << 20;
constexpr std::size_t fetchers_max = 8;

// A whole copy has this modification time: whoever writes to it later changes that.
constexpr timespec whole_mark{978'307'200, 0};

Result<FileDescriptor> take_lock(const std::string& path) {
  MR_TRY_ASSIGN(FileDescriptor file, open_file(path, O_RDWR | O_CREAT));
  while (::flock(file.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return tl::unexpected(errno_error("locking", path, errno));
  }
  return file;
}

bool is_whole(const std::string& path, std::uint64_t size_bytes) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         static_cast<std::uint64_t>(status.st_size) == size_bytes &&
         status.st_mtim.tv_sec == whole_mark.tv_sec && status.st_mtim.tv_nsec == whole_mark.tv_nsec;
}

void note_use(const std::string& path) {
  const timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  ::utimensat(AT_FDCWD, path.c_str(), times, 0);
}

Result<void> link_file(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::create_directories(fs::path(to).parent_path(), error);
  if (::link(from.c_str(), to.c_str()) != 0) {
    return tl::unexpected(errno_error("creating", to, errno));
  }
  return {};
}

// Takes the room of a copy that is to be fetched.
Result<void> allocate(const std::string& path, std::uint64_t size_bytes) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  MR_TRY_ASSIGN(const FileDescriptor file, open_file(path, O_RDWR | O_CREAT | O_EXCL));
  const int failed =
      size_bytes == 0 ? 0 : ::posix_fallocate(file.get(), 0, static_cast<off_t>(size_bytes));
  if (failed != 0) return tl::unexpected(errno_error("reserving room for", path, failed));
  return {};
}

Result<void> fetch(ObjectStore& store, const ObjectSize& object, const std::string& path,
                   const StopCheck& stop) {
  MR_TRY_ASSIGN(const FileDescriptor file, open_file(path, O_WRONLY));
  for (std::uint64_t offset = 0; offset < object.size_bytes; offset += piece_bytes) {
    if (stop && stop()) return fail(Errc::unavailable, "fetching " + object.key + " was ended");
    const std::uint64_t wanted = std::min(piece_bytes, object.size_bytes - offset);
    MR_TRY_ASSIGN(const std::string piece, store.get_range(object.key, offset, wanted));
    if (piece.size() != wanted) {
      return fail(Errc::corrupt, fmt::format("{} has {} bytes and should have {}", object.key,
                                             offset + piece.size(), object.size_bytes));
    }
    MR_TRY(write_all(file.get(), piece, path));
  }
  // Its name is to be trusted after a power cut.
  MR_TRY(sync_data(file.get(), path));
  const timespec times[2] = {{0, UTIME_NOW}, whole_mark};
  if (::futimens(file.get(), times) != 0) {
    return tl::unexpected(errno_error("finishing", path, errno));
  }
  return {};
}

struct Usage {
  struct Copy {
    std::string path;
    std::uint64_t size_bytes = 0;
    timespec used{};
  };
  std::uint64_t bytes = 0;
  std::vector<Copy> free;  // Those that nobody uses.
};

void add_usage(const std::string& directory, bool is_of_pins, Usage& usage) {
  std::error_code ignored;
  for (auto walk = fs::recursive_directory_iterator(directory, ignored);
       !ignored && walk != fs::recursive_directory_iterator(); walk.increment(ignored)) {
    struct stat status{};
    if (::stat(walk->path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    // What a copy and a pin share counts once.
    if (is_of_pins && status.st_nlink > 1) continue;
    const auto size_bytes = static_cast<std::uint64_t>(status.st_size);
    usage.bytes += size_bytes;
    if (!is_of_pins && status.st_nlink == 1) {
      usage.free.push_back({walk->path().string(), size_bytes, status.st_atim});
    }
  }
}

// What processes that are gone had in use.
void remove_dead_pins(const std::string& directory) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    if (entry.path().extension() != ".lock") continue;
    auto lock = open_file(entry.path().string(), O_RDWR);
    if (!lock || ::flock(lock->get(), LOCK_EX | LOCK_NB) != 0) continue;
    fs::remove_all(fs::path(entry.path()).replace_extension(), ignored);
    fs::remove(entry.path(), ignored);
  }
}

}  // namespace

class ReadCache::Pinned final : public LocalFiles {
 public:
  static Result<std::unique_ptr<Pinned>> create(const std::string& directory) {
    std::string root = fmt::format("{}/pins/{}", directory, random_uuid());
    MR_TRY_ASSIGN(FileDescriptor lock, take_lock(root + ".lock"));
    MR_TRY(create_directories(root));
    return std::unique_ptr<Pinned>(new Pinned(std::move(root), std::move(lock)));
  }

  ~Pinned() override {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
    fs::remove(root_ + ".lock", ignored);
  }

  const std::string& root() const override { return root_; }

 private:
  Pinned(std::string root, FileDescriptor lock) : root_(std::move(root)), lock_(std::move(lock)) {}

  const std::string root_;
  const FileDescriptor lock_;
};

Result<std::unique_ptr<ReadCache>> ReadCache::open(std::string directory,
                                                   std::uint64_t size_bytes_max) {
  // Users cannot link each other's files, nor should they read them.
  directory += fmt::format("/{}", ::geteuid());
  MR_TRY(create_directories(directory + "/copies"));
  MR_TRY(create_directories(directory + "/pins"));
  std::error_code ignored;
  directory = fs::absolute(directory, ignored).string();
  return std::unique_ptr<ReadCache>(new ReadCache(std::move(directory), size_bytes_max));
}

Result<std::unique_ptr<LocalFiles>> ReadCache::pin(ObjectStore& store, const std::string& place,
                                                   const std::vector<ObjectSize>& objects,
                                                   const StopCheck& stop) {
  std::unique_ptr<Pinned> pinned;
  std::vector<ObjectSize> missing;
  {
    MR_TRY_ASSIGN(const FileDescriptor lock, take_lock(directory_ + "/lock"));
    MR_TRY_ASSIGN(pinned, Pinned::create(directory_));
    MR_TRY_ASSIGN(missing, reserve(place, objects, *pinned));
  }
  std::atomic<std::size_t> next{0};
  std::mutex mutex;  // Guards error.
  std::optional<Error> error;
  const auto fetch_some = [&] {
    for (std::size_t i = next++; i < missing.size(); i = next++) {
      const std::string path = pinned->path_of(missing[i].key);
      auto fetched = fetch(store, missing[i], path, stop);
      if (fetched) fetched = keep(path, copy_path(place, missing[i].key));
      if (fetched) continue;
      next = missing.size();
      const std::lock_guard lock(mutex);
      if (!error) error = std::move(fetched).error();
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < std::min(fetchers_max, missing.size()); ++i) {
      others.emplace_back(fetch_some);
    }
    fetch_some();
  }
  if (error) return tl::unexpected(*std::move(error));
  return pinned;
}

// Under the lock, so that whoever adds up the sizes meets the file once.
Result<void> ReadCache::keep(const std::string& path, const std::string& copy) {
  MR_TRY_ASSIGN(const FileDescriptor lock, take_lock(directory_ + "/lock"));
  // Where another process was faster, its copy stays and this one goes with its pin.
  if (::link(path.c_str(), copy.c_str()) == 0 || errno == EEXIST) return {};
  return tl::unexpected(errno_error("creating", copy, errno));
}

// Links what is there, takes the room for what is not, and returns the latter.
Result<std::vector<ObjectSize>> ReadCache::reserve(const std::string& place,
                                                   const std::vector<ObjectSize>& objects,
                                                   const Pinned& pinned) {
  std::uint64_t all_bytes = 0;
  for (const ObjectSize& object : objects) all_bytes += object.size_bytes;
  if (all_bytes > size_bytes_max_) {
    return fail(
        Errc::exhausted,
        fmt::format(
            "{} files of {} are needed at once, and the cache may hold {} "
            "(cache.size_max): raise it, or narrow what is read (a query by --from, --to, --site)",
            objects.size(), rounded_size(all_bytes), rounded_size(size_bytes_max_)));
  }
  std::vector<ObjectSize> missing;
  std::uint64_t missing_bytes = 0;
  for (const ObjectSize& object : objects) {
    const std::string copy = copy_path(place, object.key);
    if (is_whole(copy, object.size_bytes)) {
      MR_TRY(link_file(copy, pinned.path_of(object.key)));
      note_use(copy);
      continue;
    }
    std::error_code ignored;
    fs::remove(copy, ignored);
    missing.push_back(object);
    missing_bytes += object.size_bytes;
  }
  if (missing.empty()) return missing;
  MR_TRY(make_room(missing_bytes));
  for (const ObjectSize& object : missing) {
    const std::string path = pinned.path_of(object.key);
    auto allocated = allocate(path, object.size_bytes);
    if (!allocated && allocated.error().code == Errc::exhausted) {
      // The disk is fuller than the cache may be: nothing that is not in use is worth that.
      MR_TRY(make_room(size_bytes_max_));
      std::error_code ignored;
      fs::remove(path, ignored);
      allocated = allocate(path, object.size_bytes);
    }
    if (!allocated) return tl::unexpected(std::move(allocated).error());
  }
  return missing;
}

// Nothing is deleted where that would not do. To ask for all there is deletes all that is free.
Result<void> ReadCache::make_room(std::uint64_t wanted_bytes) {
  remove_dead_pins(directory_ + "/pins");
  Usage usage;
  add_usage(directory_ + "/copies", false, usage);
  add_usage(directory_ + "/pins", true, usage);
  std::uint64_t used_bytes = usage.bytes;
  for (const Usage::Copy& copy : usage.free) used_bytes -= copy.size_bytes;
  if (used_bytes + wanted_bytes > size_bytes_max_ && wanted_bytes < size_bytes_max_) {
    return fail(
        Errc::exhausted,
        fmt::format("{} more is needed, and of the cache's {} (cache.size_max) {} is in use: "
                    "try again later, or raise it",
                    rounded_size(wanted_bytes), rounded_size(size_bytes_max_),
                    rounded_size(used_bytes)));
  }
  std::sort(usage.free.begin(), usage.free.end(), [](const auto& a, const auto& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  for (const Usage::Copy& copy : usage.free) {
    if (usage.bytes + wanted_bytes <= size_bytes_max_) break;
    std::error_code error;
    if (fs::remove(copy.path, error)) usage.bytes -= copy.size_bytes;
  }
  return {};
}

std::string ReadCache::copy_path(const std::string& place, const std::string& key) const {
  return fmt::format("{}/copies/{}", directory_, sha256_hex(fmt::format("{}\n{}", place, key)));
}

}  // namespace millrace::store
