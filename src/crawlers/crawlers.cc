#include "crawlers/crawlers.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <re2/re2.h>
#include <re2/set.h>
#include <nlohmann/json.hpp>

#include "base/assert.h"
#include "crawlers/built_in.h"

namespace millrace::crawlers {

namespace {

// The automaton's states come as they are needed. RE2's own limit, 8 MiB, is too little for a list
// of a thousand patterns: it would then give up without a match.
constexpr std::int64_t automaton_bytes_max = 64 << 20;

// What a Recognizer remembers; senders choose the user agents.
constexpr std::size_t known_bytes_max = 4 << 20;

RE2::Options pattern_options() {
  RE2::Options options;
  options.set_max_mem(automaton_bytes_max);
  options.set_log_errors(false);
  options.set_encoding(RE2::Options::EncodingLatin1);  // Any bytes.
  options.set_dot_nl(true);
  return options;
}

}  // namespace

const std::vector<std::string_view>& categories() {
  static const std::vector<std::string_view> all = {
      "search",     "ai_crawler",     "ai_search", "ai_assistant", "seo",
      "monitoring", "social_preview", "feed",      "security",     "other"};
  return all;
}

struct CrawlerList::Automaton {
  struct Pattern {
    std::size_t crawler = 0;
    std::pair<bool, std::size_t> rank;  // Whether it is the user's own; its size.
  };
  RE2::Set set{pattern_options(), RE2::UNANCHORED};
  std::vector<Pattern> patterns;  // By their numbers in `set`.
};

struct CrawlerList::Listed {
  Crawler crawler;
  std::vector<std::string> patterns;
  bool is_own = false;
};

struct CrawlerList::Text {
  std::string version;
  std::vector<Listed> crawlers;
};

CrawlerList::CrawlerList() : automaton_(std::make_unique<Automaton>()) {}
CrawlerList::~CrawlerList() = default;

Result<CrawlerList::Text> CrawlerList::read(std::string_view json, std::string_view source) {
  Text text;
  try {
    const auto root = nlohmann::json::parse(json);
    text.version = root.at("version").get<std::string>();
    for (const auto& item : root.at("crawlers")) {
      const auto& operator_name = item.at("operator");
      text.crawlers.push_back(
          {.crawler = {.name = item.at("name").get<std::string>(),
                       .operator_name =
                           operator_name.is_null() ? "" : operator_name.get<std::string>(),
                       .category = item.at("category").get<std::string>()},
           .patterns = item.at("patterns").get<std::vector<std::string>>()});
    }
  } catch (const nlohmann::json::exception& error) {
    return fail(Errc::invalid_argument,
                fmt::format("{}: it is not a list of crawlers: {}", source, error.what()));
  }
  return text;
}

Result<std::shared_ptr<const CrawlerList>> CrawlerList::compile(Text text,
                                                                std::string_view source) {
  const auto wrong = [source](const std::string& reason) {
    return fail(Errc::invalid_argument, fmt::format("{}: {}", source, reason));
  };
  std::shared_ptr<CrawlerList> list(new CrawlerList());
  list->version_ = std::move(text.version);
  for (Listed& listed : text.crawlers) {
    Crawler& crawler = listed.crawler;
    const auto& known = categories();
    if (std::find(known.begin(), known.end(), crawler.category) == known.end()) {
      return wrong(fmt::format("{}: \"{}\" is not a category (there are {})", crawler.name,
                               crawler.category, fmt::join(known, ", ")));
    }
    for (const std::string& pattern : listed.patterns) {
      std::string reason;
      // One that matches nothing at all would match everybody.
      if (pattern.empty()) reason = "it is empty";
      if (!reason.empty() || list->automaton_->set.Add(pattern, &reason) < 0) {
        return wrong(fmt::format("{}: the pattern \"{}\": {}", crawler.name, pattern, reason));
      }
      list->automaton_->patterns.push_back(
          {list->crawlers_.size(), {listed.is_own, pattern.size()}});
    }
    list->crawlers_.push_back(std::move(crawler));
  }
  if (!list->automaton_->set.Compile()) return wrong("its patterns take too much memory");
  return std::shared_ptr<const CrawlerList>(std::move(list));
}

std::shared_ptr<const CrawlerList> CrawlerList::built_in() {
  static const std::shared_ptr<const CrawlerList> list = [] {
    auto text = read(built_in_crawlers(), "crawlers.json");
    MR_ASSERT(text);
    auto compiled = compile(*std::move(text), "crawlers.json");
    MR_ASSERT(compiled);
    return *std::move(compiled);
  }();
  return list;
}

Result<std::shared_ptr<const CrawlerList>> CrawlerList::built_in_with(std::string_view json,
                                                                      std::string_view source) {
  MR_TRY_ASSIGN(Text own, read(json, source));
  MR_TRY_ASSIGN(Text all, read(built_in_crawlers(), "crawlers.json"));
  all.version += "+" + own.version;
  for (Listed& listed : own.crawlers) {
    listed.is_own = true;
    const auto same = std::find_if(all.crawlers.begin(), all.crawlers.end(), [&](const Listed& l) {
      return l.crawler.name == listed.crawler.name && !l.is_own;
    });
    if (same != all.crawlers.end()) all.crawlers.erase(same);
    all.crawlers.push_back(std::move(listed));
  }
  return compile(std::move(all), source);
}

const Crawler* CrawlerList::find(std::string_view user_agent) const {
  std::vector<int> found;
  if (!automaton_->set.Match({user_agent.data(), user_agent.size()}, &found)) return nullptr;
  const auto pattern = [this](int number) -> const Automaton::Pattern& {
    return automaton_->patterns[static_cast<std::size_t>(number)];
  };
  const int best = *std::max_element(found.begin(), found.end(), [&](int left, int right) {
    return pattern(left).rank < pattern(right).rank;
  });
  return &crawlers_[pattern(best).crawler];
}

const Crawler* Recognizer::find(std::string_view user_agent) {
  const auto known = known_.find(user_agent);
  if (known != known_.end()) return known->second;
  if (known_bytes_ > known_bytes_max) {
    known_.clear();
    known_bytes_ = 0;
  }
  const Crawler* const crawler = list_->find(user_agent);
  known_.emplace(user_agent, crawler);
  constexpr std::size_t bytes_beside_text = 100;
  known_bytes_ += user_agent.size() + bytes_beside_text;
  return crawler;
}

}  // namespace millrace::crawlers
