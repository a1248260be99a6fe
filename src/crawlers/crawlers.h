#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace millrace::crawlers {

// A program that fetches pages, by what it calls itself. Anybody can call himself so: what is
// recognised is the name, not who sent it.
struct Crawler {
  std::string name;           // "GPTBot".
  std::string operator_name;  // "OpenAI", or the domain that documents it; empty: not known.
  std::string category;       // One of categories().
};

// "search", "ai_crawler", "ai_search", "ai_assistant", "seo", "monitoring", "social_preview",
// "feed", "security", "other".
const std::vector<std::string_view>& categories();

// The known crawlers, and one automaton of the patterns by which their user agents are told.
// Immutable; thread-safe.
class CrawlerList {
 public:
  // The one in the binary.
  static std::shared_ptr<const CrawlerList> built_in();

  // The one in the binary with a user's own: {"version":TEXT, "crawlers":[{"name", "operator",
  // "category", "patterns"}]}, the patterns in the language of RE2. A crawler of his takes the
  // place of the built-in one of that name; without patterns, that one is gone. His patterns win
  // over built-in ones. The version is "BUILT-IN+HIS". `source` is the text's name in messages.
  // Errors: invalid_argument, naming the crawler and the pattern that is none.
  static Result<std::shared_ptr<const CrawlerList>> built_in_with(std::string_view json,
                                                                  std::string_view source);

  ~CrawlerList();

  // Of several that match, the user's own, and then the one with the longest pattern: it says the
  // most. Null: none. `user_agent`: any bytes.
  const Crawler* find(std::string_view user_agent) const;

  const std::string& version() const { return version_; }
  const std::vector<Crawler>& crawlers() const { return crawlers_; }

 private:
  struct Automaton;
  struct Listed;
  struct Text;
  CrawlerList();
  static Result<Text> read(std::string_view json, std::string_view source);
  static Result<std::shared_ptr<const CrawlerList>> compile(Text text, std::string_view source);

  std::string version_;
  std::vector<Crawler> crawlers_;
  std::unique_ptr<Automaton> automaton_;
};

// Remembers what became of the user agents that it saw last: a log has some hundreds of them, again
// and again, and the automaton takes some microseconds for each. One thread.
class Recognizer {
 public:
  explicit Recognizer(std::shared_ptr<const CrawlerList> list) : list_(std::move(list)) {}

  // As CrawlerList::find(); valid as long as the list.
  const Crawler* find(std::string_view user_agent);

  const CrawlerList& list() const { return *list_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  std::shared_ptr<const CrawlerList> list_;
  std::unordered_map<std::string, const Crawler*, Hash, std::equal_to<>> known_;
  std::size_t known_bytes_ = 0;
};

}  // namespace millrace::crawlers
