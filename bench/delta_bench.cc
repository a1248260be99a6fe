// Opening a table of 100,000 files and 10,000 versions: time, and the memory at its peak.
//
// Usage: delta_bench [Google Benchmark's flags]
// DELTA_BENCH_FOLDER  keeps the table from run to run (it takes a minute to make)
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/assert.h"
#include "base/random_id.h"
#include "delta/delta_table.h"
#include "store/local_store.h"

namespace millrace {
namespace {

constexpr int versions = 10'000;
constexpr int files_per_version = 10;

// As long as those of a real file of access_logs.
std::string stats(int number) {
  std::string columns;
  for (int i = 0; i < 14; ++i) {
    columns += fmt::format("{}\"column_{:02}\":\"value {:012} of it\"", i == 0 ? "" : ",", i,
                           number * 31 + i);
  }
  return fmt::format(R"({{"numRecords":1000,"minValues":{{{0}}},"maxValues":{{{0}}}}})", columns);
}

const std::string& folder() {
  static const std::string path = [] {
    const char* given = std::getenv("DELTA_BENCH_FOLDER");
    std::string folder =
        given != nullptr
            ? given
            : (std::filesystem::temp_directory_path() / ("millrace-" + random_uuid())).string();
    if (given == nullptr) {
      static const std::string removed_at_exit = folder;
      std::atexit([] { std::filesystem::remove_all(removed_at_exit); });
    }
    return folder;
  }();
  return path;
}

store::LocalStore& lake() {
  static const auto store = *store::LocalStore::open(folder());
  return *store;
}

void make_table() {
  static const SystemClock clock;
  const columnar::TableSchema schema{.columns = {{"name", columnar::ColumnType::string, false},
                                                 {"date", columnar::ColumnType::date, false}},
                                     .partition_columns = {"date"}};
  auto table = *delta::DeltaTable::open_or_create(lake(), clock, "t", schema);
  while (table.snapshot().version.value() < versions) {
    const auto version = static_cast<int>(table.snapshot().version.value());
    delta::Commit commit{.operation = "WRITE"};
    for (int i = 0; i < files_per_version; ++i) {
      const std::string date = fmt::format("2026-{:02}-{:02}", 1 + version % 12, 1 + i);
      commit.adds.push_back({.path = fmt::format("date={}/{}.parquet", date, random_uuid()),
                             .partition_values = {{"date", date}},
                             .size_bytes = 1'000'000,
                             .modified = clock.now(),
                             .stats_json = stats(version * files_per_version + i)});
    }
    MR_ASSERT(table.commit(commit));
  }
}

// Of a process that does nothing but open the table.
double peak_memory_mib() {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  ::setenv("DELTA_BENCH_FOLDER", folder().c_str(), 1);
  FILE* const output = ::popen(fmt::format("'{}' open", self).c_str(), "r");
  double mib = 0;
  MR_ASSERT(output != nullptr && std::fscanf(output, "%lf", &mib) == 1);
  ::pclose(output);
  return mib;
}

delta::DeltaTable open_once() {
  static const SystemClock clock;
  auto table = delta::DeltaTable::open(lake(), clock, "t");
  MR_ASSERT(table && table->snapshot().version.value() == versions);
  MR_ASSERT(table->snapshot().files.size() == versions * files_per_version);
  return *std::move(table);
}

void open_table(benchmark::State& state) {
  for (auto iteration : state) open_once();
  state.counters["peak_MiB"] = peak_memory_mib();
}

void by_the_newest_checkpoint(benchmark::State& state) {
  make_table();
  open_table(state);
}

void by_a_stale_hint(benchmark::State& state) {
  make_table();
  const std::string hint = folder() + "/t/_delta_log/_last_checkpoint";
  const std::string kept = *lake().get("t/_delta_log/_last_checkpoint");
  std::ofstream(hint) << R"({"version":10,"size":1})";
  open_table(state);
  std::ofstream(hint) << kept;
}

// As where the last checkpoints are damaged and were never written.
void by_the_entries_alone(benchmark::State& state) {
  make_table();
  const std::string log = folder() + "/t/_delta_log";
  const std::string aside = folder() + "/aside";
  std::filesystem::create_directories(aside);
  const auto move = [](const std::string& from, const std::string& to) {
    for (const auto& entry : std::filesystem::directory_iterator(from)) {
      const std::string name = entry.path().filename().string();
      if (name.find("checkpoint") != std::string::npos) {
        std::filesystem::rename(entry.path(), to + "/" + name);
      }
    }
  };
  move(log, aside);
  open_table(state);
  move(aside, log);
}

BENCHMARK(by_the_newest_checkpoint)->Unit(benchmark::kMillisecond);
BENCHMARK(by_a_stale_hint)->Unit(benchmark::kMillisecond);
BENCHMARK(by_the_entries_alone)->Unit(benchmark::kMillisecond);

int open_and_print_peak_memory() {
  const auto table = open_once();
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) fmt::print("{}\n", std::stod(line.substr(6)) / 1024);
  }
  return 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "open") {
    return millrace::open_and_print_peak_memory();
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
