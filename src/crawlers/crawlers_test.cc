#include "crawlers/crawlers.h"

#include <gtest/gtest.h>

#include <fstream>

namespace millrace::crawlers {
namespace {

TEST(BuiltInList, KnowsTheExamplesOfItsSources) {
  const auto list = CrawlerList::built_in();
  std::ifstream examples(MILLRACE_CRAWLER_EXAMPLES);
  std::size_t count = 0;
  for (std::string line; std::getline(examples, line); ++count) {
    EXPECT_NE(list->find(line), nullptr) << line;
  }
  EXPECT_GT(count, 2000U);
}

TEST(BuiltInList, SaysWhoseTheyAreAndWhatTheyDo) {
  struct Case {
    const char* user_agent;
    const char* name;
    const char* operator_name;
    const char* category;
  };
  const Case cases[] = {
      {"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot",
       "Google", "search"},
      {"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; "
       "+https://openai.com/gptbot)",
       "GPTBot", "OpenAI", "ai_crawler"},
      {"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; OAI-SearchBot/1.0; "
       "+https://openai.com/searchbot",
       "OAI-SearchBot", "OpenAI", "ai_search"},
      {"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; "
       "+https://openai.com/bot",
       "ChatGPT-User", "OpenAI", "ai_assistant"},
      {"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; "
       "+claudebot@anthropic.com)",
       "ClaudeBot", "Anthropic", "ai_crawler"},
      {"Mozilla/5.0 (compatible; OAI-AdsBot/1.0; +https://openai.com/adsbot)", "OAI-AdsBot",
       "OpenAI", "other"},
      {"Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", "AhrefsBot", "Ahrefs",
       "seo"},
      {"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
       "facebookexternalhit", "Meta", "social_preview"},
  };
  const auto list = CrawlerList::built_in();
  for (const Case& c : cases) {
    SCOPED_TRACE(c.user_agent);
    const Crawler* crawler = list->find(c.user_agent);
    ASSERT_NE(crawler, nullptr);
    EXPECT_EQ(crawler->name, c.name);
    EXPECT_EQ(crawler->operator_name, c.operator_name);
    EXPECT_EQ(crawler->category, c.category);
  }
}

TEST(BuiltInList, TakesNoBrowserForACrawler) {
  const char* browsers[] = {
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
      "Chrome/141.0.0.0 Safari/537.36",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
      "Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
      "Chrome/126.0.0.0 Safari/537.36 OPR/112.0.0.0",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
      "Chrome/126.0.0.0 Safari/537.36 Vivaldi/6.7",
      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
      "Version/18.5 Safari/605.1.15",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
      "Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
      "Gecko) CriOS/137.0.7151.51 Mobile/15E148 Safari/604.1",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
      "Gecko) FxiOS/139.0 Mobile/15E148 Safari/605.1.15",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
      "Gecko) Mobile/22F76 [FBAN/FBIOS;FBAV/515.0.0.49.108;FBBV/745]",
      "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
      "Chrome/137.0.0.0 Mobile Safari/537.36",
      "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) "
      "SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
      "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
      "Chrome/137.0.0.0 Mobile Safari/537.36 DuckDuckGo/5",
      "Mozilla/5.0 (Linux; Android 11; KFTRWI) AppleWebKit/537.36 (KHTML, like Gecko) "
      "Silk/120.1.1 like Chrome/120.0.6099.144 Safari/537.36",
      "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
      "Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0",
      "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) "
      "Chrome/126.0.0.0 Safari/537.36",
      "Mozilla/5.0 (PlayStation; PlayStation 5/6.00) AppleWebKit/605.1.15 (KHTML, like Gecko) "
      "Version/15.4 Safari/605.1.15",
      "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) "
      "76.0.3809.146/6.0 TV Safari/537.36",
      "",
      "-",
  };
  const auto list = CrawlerList::built_in();
  for (const char* browser : browsers) EXPECT_EQ(list->find(browser), nullptr) << browser;
}

TEST(OwnList, WinsAndLeavesTheRest) {
  const auto list = CrawlerList::built_in_with(
      R"({"version":"mine","crawlers":[
           {"name":"Our monitor","operator":"us","category":"monitoring","patterns":["Google"]},
           {"name":"curl","operator":null,"category":"other","patterns":[]}]})",
      "mine.json");
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_EQ((*list)->version(), CrawlerList::built_in()->version() + "+mine");
  EXPECT_EQ((*list)->find("Mozilla/5.0 (compatible; Googlebot/2.1)")->name, "Our monitor");
  EXPECT_NE(CrawlerList::built_in()->find("curl/8.5.0"), nullptr);
  EXPECT_EQ((*list)->find("curl/8.5.0"), nullptr);
  EXPECT_EQ((*list)->find("bingbot/2.0")->name, "bingbot");
}

TEST(OwnList, IsToldWhatIsWrong) {
  struct Case {
    const char* json;
    const char* reason;
  };
  const Case cases[] = {
      {"nonsense", "mine.json: it is not a list of crawlers"},
      {R"({"version":"1"})", "mine.json: it is not a list of crawlers"},
      {R"({"version":"1","crawlers":[{"name":"a","operator":null,"category":"x","patterns":[]}]})",
       "mine.json: a: \"x\" is not a category (there are search,"},
      {R"({"version":"1","crawlers":[{"name":"a","operator":"b","category":"seo","patterns":["("]}]})",
       "mine.json: a: the pattern \"(\": missing"},
      {R"({"version":"1","crawlers":[{"name":"a","operator":"b","category":"seo","patterns":[""]}]})",
       "mine.json: a: the pattern \"\": it is empty"},
  };
  for (const Case& c : cases) {
    const auto list = CrawlerList::built_in_with(c.json, "mine.json");
    ASSERT_FALSE(list);
    EXPECT_EQ(list.error().message.find(c.reason), 0U) << list.error().message;
  }
}

TEST(Recognizer, AnswersAsTheListHoweverManyItHasSeen) {
  Recognizer recognizer(CrawlerList::built_in());
  const std::string crawler = "Mozilla/5.0 (compatible; bingbot/2.0)";
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_EQ(recognizer.find("a browser of the number " + std::to_string(i)), nullptr);
    if (i % 1000 != 0) continue;
    ASSERT_NE(recognizer.find(crawler), nullptr);
    EXPECT_EQ(recognizer.find(crawler)->name, "bingbot");
  }
}

}  // namespace
}  // namespace millrace::crawlers
