#include "shipper/batch_reader.h"

#include <gtest/gtest.h>

#include <deque>
#include <utility>
#include <vector>

#include "shipper/shipper.h"

namespace millrace::shipper {
namespace {

// Hands out prepared pieces; an empty piece is a pause.
class PiecesSource final : public ByteSource {
 public:
  explicit PiecesSource(std::deque<std::string> pieces) : pieces_(std::move(pieces)) {}

  Result<Outcome> read(std::string& out, std::chrono::milliseconds) override {
    if (pieces_.empty()) return Outcome::end;
    const std::string piece = std::move(pieces_.front());
    pieces_.pop_front();
    out += piece;
    return piece.empty() ? Outcome::none_yet : Outcome::some;
  }

 private:
  std::deque<std::string> pieces_;
};

struct Cut {
  std::vector<std::string> bodies;
  std::string error;
};

Cut cut(std::deque<std::string> pieces, InputFormat format, std::size_t records_max = 2) {
  BatchReader reader(std::make_unique<PiecesSource>(std::move(pieces)), "input", format,
                     {.records_max = records_max});
  Cut result;
  const std::atomic<bool> never{false};
  while (true) {
    auto batch = reader.next(never);
    if (!batch) {
      result.error = batch.error().message;
      return result;
    }
    if (!*batch) return result;
    result.bodies.push_back((*batch)->body);
  }
}

using Bodies = std::vector<std::string>;

TEST(BatchReader, CutsEachFormatIntoBodiesOfTheirOwn) {
  struct Case {
    const char* name;
    InputFormat format;
    const char* input;
    Bodies want;
  };
  const Case cases[] = {
      {"lines", InputFormat::combined, "a\nb\nc\n", {"a\nb\n", "c\n"}},
      {"last line without its end", InputFormat::combined, "a\nb\nc", {"a\nb\n", "c\n"}},
      {"blank lines are no records",
       InputFormat::ndjson,
       "\n{}\n \r\n{}\n\n{}",
       {"{}\n{}\n", "{}\n"}},
      {"every csv body has the header",
       InputFormat::csv,
       "h,i\n1,2\n3,4\n5,6\n",
       {"h,i\n1,2\n3,4\n", "h,i\n5,6\n"}},
      {"line breaks within csv quotes",
       InputFormat::csv,
       "h\n\"a\nb\"\n\"c\"\"\n\"\nd\n",
       {"h\n\"a\nb\"\n\"c\"\"\n\"\n", "h\nd\n"}},
      {"json elements",
       InputFormat::json,
       " [ {\"a\":\"]}\\\"\"} ,{\"b\":[{}]},{}]  ",
       {"[{\"a\":\"]}\\\"\"},{\"b\":[{}]}]", "[{}]"}},
      {"json array without elements", InputFormat::json, "[]", {}},
      {"nothing", InputFormat::combined, "", {}},
      {"detects an array", InputFormat::detect, "\xEF\xBB\xBF [{}]", {"[{}]"}},
      {"detects json lines", InputFormat::detect, "{}\n", {"{}\n"}},
      {"detects log lines", InputFormat::detect, "1.2.3.4 - -\n", {"1.2.3.4 - -\n"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(cut({c.input}, c.format).bodies, c.want);
    std::deque<std::string> bytes;
    for (const char* at = c.input; *at != '\0'; ++at) bytes.emplace_back(1, *at);
    EXPECT_EQ(cut(bytes, c.format).bodies, c.want) << "however the reads fall";
  }
}

TEST(BatchReader, SendsWhatItHasWhenTheInputPauses) {
  EXPECT_EQ(cut({"a\nb", "", "c\n", "", "d\n"}, InputFormat::combined, 10).bodies,
            (Bodies{"a\n", "bc\n", "d\n"}));
}

TEST(BatchReader, EndsAtAPauseOnceItIsToStop) {
  BatchReader reader(std::make_unique<PiecesSource>(std::deque<std::string>{"a\nb", "", "", "c\n"}),
                     "input", InputFormat::combined, {});
  const std::atomic<bool> stop{true};
  EXPECT_EQ((*reader.next(stop))->body, "a\n");
  EXPECT_FALSE(*reader.next(stop));
}

TEST(BatchReader, NamesThePlaceOfWhatIsNoJsonArray) {
  EXPECT_EQ(cut({"{}"}, InputFormat::json).error,
            "input: byte 0: a JSON file must hold an array of objects (for one object per line use "
            "--format ndjson)");
  EXPECT_EQ(cut({"[{},7]"}, InputFormat::json, 1).error,
            "input: byte 4: expected an object, found '7'");
  EXPECT_NE(cut({"[{}"}, InputFormat::json, 1).error, "") << "an array that is not closed";
  EXPECT_EQ(cut({"\x1F\x8B\b"}, InputFormat::detect).error,
            "input: the input is gzip: give the file's name instead, or `zcat FILE | millrace send "
            "-`");
}

TEST(BatchReader, GivesTheSameKeysForTheSameInput) {
  const auto keys = [](std::deque<std::string> pieces) {
    BatchReader reader(std::make_unique<PiecesSource>(std::move(pieces)), "input",
                       InputFormat::combined, {.records_max = 1});
    std::vector<std::string> result;
    const std::atomic<bool> never{false};
    for (auto batch = reader.next(never); batch && *batch; batch = reader.next(never)) {
      result.push_back(idempotency_key(**batch));
    }
    return result;
  };
  const auto whole = keys({"same\nsame\nother\n"});
  EXPECT_EQ(whole, keys({"sa", "me\nsame\not", "her\n"}));
  ASSERT_EQ(whole.size(), 3U);
  EXPECT_NE(whole[0], whole[1]) << "equal bytes at another offset are another batch";
}

}  // namespace
}  // namespace millrace::shipper
