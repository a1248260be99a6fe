#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>

#include "journal/journal_files.h"

namespace millrace::journal {

// Real files that fail, and lose power. The fault model:
//   - Call number `fail_at` (from 0) fails, with `code`: an append after a part of its bytes
//   reached
//     the file, a sync without having synced, anything else without effect. With `repeat`, every
//     call from it on fails until heal().
//   - lose_power() leaves of each file what was synced, and any prefix of what was appended since,
//     perhaps with zeros in it; a file whose name was not synced may be gone.
// `files` must outlive this. One thread writes at a time, another may read.
class FaultyFiles final : public JournalFiles {
 public:
  struct Plan {
    int fail_at = -1;
    Errc code = Errc::unavailable;
    bool repeat = false;
  };

  explicit FaultyFiles(std::string directory)
      : directory_(directory), inner_(open_journal_files(std::move(directory))) {}

  void plan(Plan plan) {
    const std::lock_guard lock(mutex_);
    plan_ = plan;
    call_count_ = 0;
  }
  void heal() { plan({}); }
  int call_count() const {
    const std::lock_guard lock(mutex_);
    return call_count_;
  }

  // Call when the journal has been destroyed.
  void lose_power(std::mt19937& random) {
    namespace fs = std::filesystem;
    for (const auto& [name, file] : states_) {
      const fs::path path = fs::path(directory_) / name;
      if (!fs::exists(path)) continue;
      if (!file.is_name_synced && random() % 2 == 0) {
        fs::remove(path);
        continue;
      }
      const auto size = fs::file_size(path);
      const auto unsynced = size - std::min(size, file.synced_bytes);
      const auto kept = std::min(size, file.synced_bytes);
      fs::resize_file(path, kept + (unsynced > 0 ? random() % (unsynced + 1) : 0));
      if (random() % 2 == 0) zero_some(path, kept, random);
    }
    states_.clear();
  }

  Result<std::unique_ptr<JournalFile>> create(const std::string& name) override {
    MR_TRY(step());
    MR_TRY_ASSIGN(auto file, inner_->create(name));
    states_[name] = {};
    return std::make_unique<File>(*this, name, std::move(file));
  }
  Result<std::unique_ptr<JournalFile>> open(const std::string& name) override {
    MR_TRY(step());
    MR_TRY_ASSIGN(auto file, inner_->open(name));
    states_[name] = {std::filesystem::file_size(std::filesystem::path(directory_) / name), true};
    return std::make_unique<File>(*this, name, std::move(file));
  }
  Result<std::unique_ptr<JournalFileReader>> open_to_read(const std::string& name) override {
    MR_TRY(step());
    MR_TRY_ASSIGN(auto file, inner_->open_to_read(name));
    return std::make_unique<Reader>(*this, std::move(file));
  }
  Result<void> remove(const std::string& name) override {
    MR_TRY(step());
    return inner_->remove(name);
  }
  Result<void> sync_names() override {
    MR_TRY(step());
    for (auto& [name, file] : states_) file.is_name_synced = true;
    return inner_->sync_names();
  }

 private:
  struct State {
    std::uintmax_t synced_bytes = 0;
    bool is_name_synced = false;
  };

  // The size of a file can survive without all of its pages.
  static void zero_some(const std::filesystem::path& path, std::uintmax_t from,
                        std::mt19937& random) {
    const auto size = std::filesystem::file_size(path);
    if (size <= from) return;
    const auto begin = from + random() % (size - from);
    const std::string zeros(1 + random() % (size - begin), '\0');
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(begin));
    file.write(zeros.data(), static_cast<std::streamsize>(zeros.size()));
  }

  class File final : public JournalFile {
   public:
    File(FaultyFiles& files, std::string name, std::unique_ptr<JournalFile> inner)
        : files_(files), name_(std::move(name)), inner_(std::move(inner)) {}

    Result<void> append(std::string_view bytes) override {
      const auto step = files_.step();
      if (step) return inner_->append(bytes);
      static_cast<void>(inner_->append(bytes.substr(0, bytes.size() / 2)));
      return step;
    }
    Result<void> sync() override {
      MR_TRY(files_.step());
      files_.states_[name_].synced_bytes =
          std::filesystem::file_size(std::filesystem::path(files_.directory_) / name_);
      return inner_->sync();
    }
    Result<void> truncate(std::uint64_t size_bytes) override {
      MR_TRY(files_.step());
      return inner_->truncate(size_bytes);
    }

   private:
    FaultyFiles& files_;
    const std::string name_;
    std::unique_ptr<JournalFile> inner_;
  };

  class Reader final : public JournalFileReader {
   public:
    Reader(FaultyFiles& files, std::unique_ptr<JournalFileReader> inner)
        : files_(files), inner_(std::move(inner)) {}

    Result<std::size_t> read(std::uint64_t at, char* to, std::size_t size_bytes) override {
      MR_TRY(files_.step());
      return inner_->read(at, to, size_bytes);
    }

   private:
    FaultyFiles& files_;
    std::unique_ptr<JournalFileReader> inner_;
  };

  Result<void> step() {
    const std::lock_guard lock(mutex_);
    const int call = call_count_++;
    const bool fails =
        plan_.fail_at >= 0 && (plan_.repeat ? call >= plan_.fail_at : call == plan_.fail_at);
    if (fails) return fail(plan_.code, "injected");
    return {};
  }

  const std::string directory_;
  const std::unique_ptr<JournalFiles> inner_;
  std::map<std::string, State> states_;

  mutable std::mutex mutex_;  // Guards what is below.
  Plan plan_;
  int call_count_ = 0;
};

}  // namespace millrace::journal
