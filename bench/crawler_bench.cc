// What recognising crawlers costs: for a user agent seen before, for one never seen, beside one
// lookup in a hash table; and what compiling the list costs, which every writer does at its start.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/assert.h"
#include "crawlers/crawlers.h"

namespace millrace::crawlers {
namespace {

constexpr std::size_t records = 10'000;

// One in five is a crawler, as on a site that is not large.
const std::vector<std::string>& user_agents() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> made;
    for (int i = 0; i < 300; ++i) {
      made.push_back(
          i % 5 == 0
              ? fmt::format("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; "
                            "GPTBot/1.{}; +https://openai.com/gptbot)",
                            i)
              : fmt::format("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, "
                            "like Gecko) Chrome/{}.0.0.0 Safari/537.36",
                            i));
    }
    return made;
  }();
  return all;
}

std::vector<std::size_t> order() {
  std::mt19937 random(1);
  std::vector<std::size_t> indexes(records);
  for (std::size_t& index : indexes) index = random() % user_agents().size();
  return indexes;
}

void hash_table_alone(benchmark::State& state) {
  std::unordered_map<std::string_view, std::size_t> table;
  for (const std::string& agent : user_agents()) table.emplace(agent, table.size());
  const auto indexes = order();
  for (auto round : state) {
    for (const std::size_t index : indexes) {
      benchmark::DoNotOptimize(table.find(std::string_view(user_agents()[index])));
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(records));
}

void seen_before(benchmark::State& state) {
  Recognizer recognizer(CrawlerList::built_in());
  const auto indexes = order();
  std::size_t found = 0;
  for (auto round : state) {
    found = 0;
    for (const std::size_t index : indexes) {
      found += recognizer.find(user_agents()[index]) != nullptr ? 1 : 0;
    }
  }
  MR_ASSERT(found > records / 10 && found < records / 2);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(records));
}

void never_seen(benchmark::State& state) {
  const auto list = CrawlerList::built_in();
  std::size_t found = 0;
  for (auto round : state) {
    found = 0;
    for (const std::string& agent : user_agents()) found += list->find(agent) != nullptr ? 1 : 0;
  }
  MR_ASSERT(found == user_agents().size() / 5);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(user_agents().size()));
}

void compile(benchmark::State& state) {
  for (auto round : state) {
    const auto list = CrawlerList::built_in_with(R"({"version":"1","crawlers":[]})", "bench");
    MR_ASSERT(list);
    benchmark::DoNotOptimize(list);
  }
}

BENCHMARK(hash_table_alone);
BENCHMARK(seen_before);
BENCHMARK(never_seen);
BENCHMARK(compile)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace millrace::crawlers
