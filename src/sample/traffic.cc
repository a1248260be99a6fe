#include "sample/traffic.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <random>
#include <string_view>
#include <vector>

#include "base/time_text.h"

namespace millrace::sample {

namespace {

struct Agent {
  int weight;
  bool crawls;
  const char* user_agent;
};

// The names that crawlers publish, and browsers with the versions filled in per visitor.
constexpr std::array agents = {
    Agent{30, false,
          "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
          "Chrome/{}.0.0.0 Safari/537.36"},
    Agent{12, false,
          "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
          "Chrome/{}.0.0.0 Safari/537.36"},
    Agent{18, false,
          "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
          "Chrome/{}.0.0.0 Mobile Safari/537.36"},
    Agent{14, false,
          "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
          "like Gecko) Version/18.{} Mobile/15E148 Safari/604.1"},
    Agent{6, false, "Mozilla/5.0 (X11; Linux x86_64; rv:{0}.0) Gecko/20100101 Firefox/{0}.0"},
    Agent{5, true, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
    Agent{3, true, "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"},
    Agent{4, true,
          "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; "
          "+https://openai.com/gptbot)"},
    Agent{3, true,
          "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; "
          "+claudebot@anthropic.com)"},
    Agent{2, true,
          "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; PerplexityBot/1.0; "
          "+https://perplexity.ai/perplexitybot)"},
    Agent{1, true, "CCBot/2.0 (https://commoncrawl.org/faq/)"},
    Agent{1, true, "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"},
    Agent{1, true, "curl/8.5.0"},
};

constexpr std::array<std::string_view, 12> sections = {"blog",   "docs", "products", "images",
                                                       "assets", "news", "guides",   "api",
                                                       "users",  "tags", "download", "help"};
constexpr std::array<std::string_view, 16> words = {
    "getting", "started", "with",    "log",   "pipelines", "fast", "query", "daily",
    "report",  "summer",  "release", "notes", "how",       "to",   "scale", "crawlers"};
constexpr std::array<std::string_view, 5> endings = {"", ".html", "/", ".png", ".js"};
constexpr std::array<std::string_view, 5> referrers = {
    "https://www.google.com/", "https://www.bing.com/", "https://chatgpt.com/",
    "https://news.ycombinator.com/", "https://example.com/blog/"};

std::string make_path(int rank, std::mt19937_64& random) {
  if (rank == 0) return "/";
  if (rank == 1) return "/robots.txt";
  if (rank == 2) return "/favicon.ico";
  const auto section = sections[random() % sections.size()];
  return fmt::format("/{}/{}-{}-{}{}", section, words[random() % words.size()],
                     words[random() % words.size()], rank, endings[random() % endings.size()]);
}

// How busy the site is at a time of day, from 0.2 in the night to 1.
double busyness(Timestamp time) {
  const auto of_day = time - day_of(time);
  const double turn = std::chrono::duration<double, std::ratio<86400>>(of_day).count();
  return 0.6 - 0.4 * std::cos((turn - 3.0 / 24) * 2 * std::numbers::pi);
}

}  // namespace

struct Traffic::Impl {
  TrafficOptions options;
  std::mt19937_64 random;
  std::vector<std::string> paths;
  std::vector<double> path_weight_sums;  // Ascending: Zipf with exponent 1.
  std::discrete_distribution<std::size_t> choose_agent;
  std::vector<double> minute_weight_sums;  // Ascending: how the span's records spread over it.
  std::uint64_t made = 0;

  explicit Impl(TrafficOptions chosen) : options(chosen), random(chosen.seed) {
    double sum = 0;
    for (int rank = 0; rank < options.paths; ++rank) {
      paths.push_back(make_path(rank, random));
      sum += 1.0 / (rank + 1);
      path_weight_sums.push_back(sum);
    }
    std::vector<double> weights;
    for (const Agent& agent : agents) weights.push_back(agent.weight);
    choose_agent = std::discrete_distribution<std::size_t>(weights.begin(), weights.end());
    const auto minutes = std::max<std::int64_t>(1, options.span.count() / 60);
    sum = 0;
    for (std::int64_t minute = 0; minute < minutes; ++minute) {
      sum += busyness(options.begin + std::chrono::minutes(minute));
      minute_weight_sums.push_back(sum);
    }
  }

  double uniform() { return std::uniform_real_distribution<double>(0, 1)(random); }

  // Times ascend evenly in terms of busyness, so that nothing has to be sorted or kept.
  Timestamp time_of(std::uint64_t index) {
    const double target = minute_weight_sums.back() *
                          (static_cast<double>(index) + uniform() * 0.5) /
                          static_cast<double>(options.records);
    const auto found =
        std::upper_bound(minute_weight_sums.begin(), minute_weight_sums.end() - 1, target);
    const double before = found == minute_weight_sums.begin() ? 0 : *(found - 1);
    const double within = (target - before) / (*found - before);
    const auto minute = found - minute_weight_sums.begin();
    return options.begin + std::chrono::minutes(minute) +
           std::chrono::microseconds(static_cast<std::int64_t>(within * 60e6));
  }

  const std::string& choose_path() {
    const double target = uniform() * path_weight_sums.back();
    const auto found =
        std::upper_bound(path_weight_sums.begin(), path_weight_sums.end() - 1, target);
    return paths[static_cast<std::size_t>(found - path_weight_sums.begin())];
  }

  int choose_status() {
    const double chance = uniform();
    if (chance < 0.90) return 200;
    if (chance < 0.93) return 304;
    if (chance < 0.95) return 301;
    if (chance < 0.99) return 404;
    return chance < 0.997 ? 500 : 503;
  }
};

Traffic::Traffic(TrafficOptions options) : impl_(std::make_unique<Impl>(options)) {}

Traffic::~Traffic() = default;

bool Traffic::append_line(std::string& out) {
  Impl& impl = *impl_;
  if (impl.made == impl.options.records) return false;
  const Timestamp time = impl.time_of(impl.made++);
  const Agent& agent = agents[impl.choose_agent(impl.random)];
  const std::string user_agent =
      fmt::format(fmt::runtime(agent.user_agent), 120 + impl.random() % 25);
  const std::string& path = impl.choose_path();
  const int status = impl.choose_status();
  const auto bytes = static_cast<std::uint64_t>(std::exp(6 + 5 * impl.uniform()));
  const std::uint64_t address = impl.random() % (agent.crawls ? 64 : 20'000);
  const std::string ip = fmt::format("198.51.{}.{}", 100 + address / 250 % 100, 1 + address % 250);
  const bool refers = !agent.crawls && impl.uniform() < 0.4;
  const std::string_view referrer =
      refers ? referrers[impl.random() % referrers.size()] : std::string_view("-");
  if (impl.options.format == TrafficFormat::ndjson) {
    fmt::format_to(std::back_inserter(out),
                   R"({{"timestamp":"{}","path":"{}","userAgent":"{}","status":{},"bytes":{},)"
                   R"("method":"GET","client_ip":"{}"}})"
                   "\n",
                   to_rfc3339(time), path, user_agent, status, bytes, ip);
  } else {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    fmt::format_to(std::back_inserter(out),
                   "{} - - [{:%d/%b/%Y:%H:%M:%S} +0000] \"GET {} HTTP/1.1\" {} {} \"{}\" \"{}\"\n",
                   ip, fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)), path, status,
                   bytes, referrer, user_agent);
  }
  return true;
}

}  // namespace millrace::sample
