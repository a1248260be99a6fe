// Appending to the embedded journal beside the least that a durable append can cost: one write()
// and one fdatasync() of the same bytes, in the same folder. Processor time of all threads.
//
// Usage: journal_bench [Google Benchmark's flags]
// JOURNAL_BENCH_FOLDER  on the disk to measure (default: the temporary folder)
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "append_groups.h"
#include "base/assert.h"
#include "base/random_id.h"
#include "journal/embedded_journal.h"

namespace millrace::journal {
namespace {

// What 32 connections send at once: a record each, or fewer batches of 1,000.
constexpr Group single_records{32, 200};
constexpr Group batches_of_1000{8, 200'000};

class Folder {
 public:
  Folder() {
    const char* given = std::getenv("JOURNAL_BENCH_FOLDER");
    const std::filesystem::path parent =
        given != nullptr ? given : std::filesystem::temp_directory_path();
    path_ = (parent / ("millrace-" + random_uuid())).string();
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

int new_file(const Folder& folder) {
  const std::string path = folder.path() + "/" + random_uuid();
  const int file = ::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
  MR_ASSERT(file >= 0);
  return file;
}

// Files as large as the journal's segments.
void write_and_fdatasync(benchmark::State& state, Group group) {
  const Folder folder;
  const std::string bytes(group.entries * group.entry_bytes, 'x');
  const std::size_t rounds_per_file =
      EmbeddedJournalOptions{}.segment_size_bytes_max / bytes.size();
  int file = new_file(folder);
  std::size_t rounds = 0;
  for (auto round : state) {
    MR_ASSERT(::write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    MR_ASSERT(::fdatasync(file) == 0);
    if (++rounds % rounds_per_file == 0) {
      ::close(file);
      file = new_file(folder);
    }
  }
  ::close(file);
  report(state, group);
}

void append(benchmark::State& state, Group group) {
  const Folder folder;
  MetricsRegistry metrics;
  const auto journal = *EmbeddedJournal::open({.directory = folder.path()}, metrics);
  const std::string value(group.entry_bytes, 'x');
  append_groups(state, journal->appender(), group, value);
}

// By number, so that a run writes the same bytes each time: 0.6 GB at the most.
BENCHMARK_CAPTURE(write_and_fdatasync, single_records, single_records)
    ->Iterations(2'000)
    ->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(append, single_records, single_records)
    ->Iterations(2'000)
    ->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(write_and_fdatasync, batches_of_1000, batches_of_1000)
    ->Iterations(200)
    ->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(append, batches_of_1000, batches_of_1000)
    ->Iterations(200)
    ->MeasureProcessCPUTime();

}  // namespace
}  // namespace millrace::journal
