#include "scratch_folder.h"

#include <fcntl.h>
#include <sys/file.h>

#include <filesystem>
#include <utility>

#include "base/random_id.h"

namespace millrace::apps {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view lock_ending = ".lock";

bool try_lock(const FileDescriptor& file) { return ::flock(file.get(), LOCK_EX | LOCK_NB) == 0; }

// Whoever has the lock lives.
void remove_dead(const std::string& parent) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(parent, ignored)) {
    const std::string lock_path = entry.path().string();
    if (!lock_path.ends_with(lock_ending)) continue;
    const auto lock = open_file(lock_path, O_RDWR);
    if (!lock || !try_lock(*lock)) continue;
    fs::remove_all(lock_path.substr(0, lock_path.size() - lock_ending.size()), ignored);
    fs::remove(lock_path, ignored);
  }
}

}  // namespace

Result<ScratchFolder> ScratchFolder::create(const std::string& parent) {
  MR_TRY(create_directories(parent));
  remove_dead(parent);
  while (true) {
    std::string path = parent + '/' + random_uuid();
    const std::string lock_path = path + std::string(lock_ending);
    MR_TRY_ASSIGN(FileDescriptor lock, open_file(lock_path, O_RDWR | O_CREAT | O_EXCL));
    // Before it was locked, another process may have taken it for a dead one's.
    if (!try_lock(lock) || !fs::exists(lock_path)) continue;
    MR_TRY(create_directories(path));
    return ScratchFolder(std::move(path), std::move(lock));
  }
}

ScratchFolder::~ScratchFolder() {
  if (!lock_.is_open()) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  fs::remove(path_ + std::string(lock_ending), ignored);
}

}  // namespace millrace::apps
