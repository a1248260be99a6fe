#include "record/decoder.h"

#include <gtest/gtest.h>

#include <random>

#include "record/canonical.h"
#include "record/testing/decoded.h"

namespace millrace::record {
namespace {

TEST(DecodeJson, ConvertsFields) {
  struct Case {
    const char* name;
    const char* record;
    const char* want;
  };
  const std::string at = R"({"timestamp":"2026-01-02T03:04:05.000000Z",)";
  const Case cases[] = {
      {"minimal", R"({"timestamp":"2026-01-02T03:04:05Z","path":"/a"})", R"("path":"/a"})"},
      {"the three fields", R"({"timestamp":"2026-01-02T03:04:05Z","path":"/a","userAgent":"x"})",
       R"("path":"/a","user_agent":"x"})"},
      {"aliases",
       R"({"@timestamp":"2026-01-02T03:04:05Z","url.path":"/a","status_code":200,"referer":"r"})",
       R"("path":"/a","referrer":"r","status":200})"},
      {"aliases in any case", R"({"TIME":"2026-01-02T03:04:05Z","Uri":"/a","User-Agent":"x"})",
       R"("path":"/a","user_agent":"x"})"},
      {"epoch seconds", R"({"ts":1767323045,"path":"/a"})", R"("path":"/a"})"},
      {"epoch seconds with a fraction", R"({"ts":1767323045.0,"path":"/a"})", R"("path":"/a"})"},
      {"epoch milliseconds as text", R"({"ts":"1767323045000","path":"/a"})", R"("path":"/a"})"},
      {"epoch microseconds", R"({"ts":1767323045000000,"path":"/a"})", R"("path":"/a"})"},
      {"epoch nanoseconds", R"({"ts":1767323045000000000,"path":"/a"})", R"("path":"/a"})"},
      {"apache time", R"({"time_local":"02/Jan/2026:04:04:05 +0100","path":"/a"})",
       R"("path":"/a"})"},
      {"query in the path", R"({"ts":1767323045,"path":"/a?b=1&c"})",
       R"("path":"/a","query":"b=1&c"})"},
      {"absolute url", R"({"ts":1767323045,"url":"https://h.example:8080/a?b"})",
       R"("path":"/a","query":"b","host":"h.example:8080"})"},
      {"percent encoding is kept", R"({"ts":1767323045,"path":"/%ff%20%zz"})",
       R"("path":"/%ff%20%zz"})"},
      {"escapes and unicode", R"({"ts":1767323045,"path":"/\u00e9\"\\\ud83d\ude00\n\u0000"})",
       "\"path\":\"/\u00e9\\\"\\\\\U0001F600\\n\\u0000\"}"},
      {"unknown fields",
       R"({"ts":1767323045,"path":"/a","z":"1","b":true,"n":12345678901234567890123,"x":null})",
       R"("path":"/a","attributes":{"b":"true","n":"12345678901234567890123","z":"1"}})"},
      {"nested", R"({"ts":1767323045,"path":"/a","o":{ "k" : [1, "é", {}, [] , null] }})",
       R"("path":"/a","attributes":{"o":"{\"k\":[1,\"é\",{},[],null]}"}})"},
      {"an object under a known name", R"({"ts":1767323045,"path":"/a","host":{"name":"h"}})",
       R"("path":"/a","attributes":{"host":"{\"name\":\"h\"}"}})"},
      {"null is absent", R"({"ts":1767323045,"path":"/a","status":null,"userAgent":null})",
       R"("path":"/a"})"},
      {"empty text is absent", R"({"ts":1767323045,"path":"/a","userAgent":""})",
       R"("path":"/a"})"},
      {"the last of a name wins", R"({"ts":1767323045,"path":"/b","path":"/a","x":1,"x":2})",
       R"("path":"/a","attributes":{"x":"2"}})"},
      {"the best of a column wins", R"({"uri":"/b","ts":1767323045,"path":"/a"})",
       R"("path":"/a","attributes":{"uri":"/b"}})"},
      {"durations", R"({"ts":1767323045,"path":"/a","request_time":"0.0015"})",
       R"("path":"/a","duration_us":1500})"},
      {"numbers as text", R"({"ts":1767323045,"path":"/a","status":"404","bytes":"7"})",
       R"("path":"/a","status":404,"bytes":7})"},
      {"site", R"({"ts":1767323045,"path":"/a","site":"s"})", R"("site":"s","path":"/a"})"},
      {"the batch's own site", R"({"ts":1767323045,"path":"/a","site":"default"})",
       R"("path":"/a"})"},
      {"empty path after a host", R"({"ts":1767323045,"url":"http://h"})",
       R"("path":"/","host":"h"})"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(decode_one(c.record), at + c.want);
  }
}

TEST(DecodeJson, RefusesARecordAndSaysWhy) {
  struct Case {
    const char* name;
    const char* record;
    const char* want;
  };
  const Case cases[] = {
      {"no path", R"({"ts":1767323045})", "path: missing (any of path, url.path, uri,"},
      {"no time", R"({"path":"/"})", "timestamp: missing (any of timestamp,"},
      {"time is words", R"({"ts":"yesterday","path":"/"})",
       "timestamp: \"yesterday\" is not a time"},
      {"time is an object", R"({"ts":{},"path":"/"})", "timestamp: \"{}\" is not a time"},
      {"time zero", R"({"ts":0,"path":"/"})",
       "timestamp: 1970-01-01T00:00:00.000000Z is before 1990"},
      {"time in antiquity", R"({"ts":"0001-01-01T00:00:00Z","path":"/"})",
       "timestamp: 0001-01-01T00:00:00.000000Z is before 1990"},
      {"future", R"({"ts":"2026-03-02T00:00:01Z","path":"/"})",
       "timestamp: \"2026-03-02T00:00:01Z\" is more than 86400 s in the future"},
      {"path is a number", R"({"ts":1767323045,"path":5})", "path: \"5\" is not a text"},
      {"status is text", R"({"ts":1767323045,"path":"/","status":"abc"})",
       "status: \"abc\" is not a whole number from 100 to 599"},
      {"status too small", R"({"ts":1767323045,"path":"/","status":99})", "status: \"99\""},
      {"status too large", R"({"ts":1767323045,"path":"/","status":600})", "status: \"600\""},
      {"bytes negative", R"({"ts":1767323045,"path":"/","bytes":-1})", "bytes: \"-1\""},
      {"bytes huge", R"({"ts":1767323045,"path":"/","bytes":99999999999999999999})", "bytes: "},
      {"duration negative", R"({"ts":1767323045,"path":"/","duration_ms":-1})",
       "duration_us: \"-1\" (duration_ms) is not a duration"},
      {"not an object", "7", ": expected an object"},
      {"nested array", "[[]]", ": expected an object"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const std::string decoded = decode_one(c.record);
    EXPECT_TRUE(decoded.starts_with(c.want)) << decoded;
  }
}

TEST(DecodeJson, TakesWhatBreaksNoLimitAndNoMore) {
  const auto with = [](const std::string& members) {
    return R"({"ts":1767323045)" + members + "}";
  };
  const auto is_taken = [](const std::string& record, DecoderOptions options) {
    return decode_one(record, std::move(options)).starts_with("{");
  };
  EXPECT_TRUE(is_taken(with(R"(,"path":"/234")"), {.path_bytes_max = 4}));
  EXPECT_FALSE(is_taken(with(R"(,"path":"/2345")"), {.path_bytes_max = 4}));
  EXPECT_TRUE(is_taken(with(R"(,"path":"/","userAgent":"1234")"), {.field_bytes_max = 4}));
  EXPECT_FALSE(is_taken(with(R"(,"path":"/","userAgent":"12345")"), {.field_bytes_max = 4}));
  EXPECT_TRUE(is_taken(with(R"(,"path":"/","a":1,"b":1)"), {.attributes_max = 2}));
  EXPECT_FALSE(is_taken(with(R"(,"path":"/","a":1,"b":1,"c":1)"), {.attributes_max = 2}));
  const std::string record = with(R"(,"path":"/")");
  EXPECT_TRUE(is_taken(record, {.record_bytes_max = record.size()}));
  EXPECT_FALSE(is_taken(record, {.record_bytes_max = record.size() - 1}));
}

TEST(DecodeJson, LimitsTheRecordsAndDaysOfABatch) {
  std::string body = "[";
  for (int day = 1; day <= 9; ++day) {
    body += R"({"ts":"2026-01-0)" + std::to_string(day) + R"(T00:00:00Z","path":"/"},)";
  }
  body.back() = ']';
  EXPECT_FALSE(decode(Format::json, body, {.records_max = 9}).failure);
  const auto too_many = decode(Format::json, body, {.records_max = 8});
  EXPECT_EQ(too_many.failure->kind, DecodeFailure::Kind::too_many_records);
  EXPECT_EQ(too_many.batch.record_count, 0U) << "nothing of it is kept";
  const auto days = decode(Format::json, body, {.days_max = 7});
  EXPECT_EQ(days.batch.record_count, 7U);
  ASSERT_EQ(days.batch.rejects.size(), 2U);
  EXPECT_EQ(days.batch.rejects[0].index, 7U);
}

TEST(DecodeJson, AcceptsItsThreeShapes) {
  const std::string record = minimal;
  for (const std::string& body :
       {record, "[" + record + "]", R"({"records":[)" + record + "]}",
        "\xEF\xBB\xBF " + record + "\r\n",
        R"({"source":{"a":[1]},"records":[)" + record + R"(],"more":null})"}) {
    SCOPED_TRACE(body);
    const auto decoded = decode(Format::json, body);
    ASSERT_FALSE(decoded.failure) << decoded.failure->message;
    EXPECT_EQ(decoded.batch.records, record + "\n");
  }
  EXPECT_FALSE(decode(Format::json, "[]").failure);
  EXPECT_FALSE(decode(Format::json, R"({"records":[]})").failure);
}

TEST(DecodeJson, RefusesWhatIsNotJson) {
  const std::string record = minimal;
  const std::string bodies[] = {"",
                                " ",
                                "7",
                                "\"x\"",
                                "{",
                                "[" + record,
                                "[" + record + ",]",
                                record + record,
                                "[" + record + "] x",
                                "[{\"a\":1,}]",
                                "[{\"a\":01}]",
                                "[{\"a\":tru}]",
                                "[{\"a\":nul}]",
                                "[{\"a\" 1}]",
                                "[{\"a\":\"\x01\"}]",
                                "[{\"a\":\"\xff\"}]",
                                "[{\"a\":\"\\x\"}]",
                                "{\"records\":[" + record + "],\"x\":tru}",
                                "{\"records\":[" + record + "],\"records\":[" + record + "]}",
                                "[{\"a\":[1,]}]"};
  for (const std::string& body : bodies) {
    SCOPED_TRACE(body);
    const auto decoded = decode(Format::json, body);
    ASSERT_TRUE(decoded.failure);
    EXPECT_EQ(decoded.failure->kind, DecodeFailure::Kind::malformed);
    ASSERT_TRUE(decoded.failure->byte_offset);
    EXPECT_LE(*decoded.failure->byte_offset, body.size());
    EXPECT_EQ(decoded.batch.records, "");
    EXPECT_TRUE(decoded.batch.rejects.empty());
  }
}

TEST(DecodeJson, SaysWhereABodyStopsBeingJson) {
  struct Case {
    const char* body;
    std::size_t offset;
  };
  const Case cases[] = {{"[{\"a\":tru}]", 9},
                        {"[{\"a\":1,}]", 8},
                        {"{\"a\":\"x", 7},
                        {"[1] x", 4},
                        {"\xEF\xBB\xBF[1,,2]", 6},
                        {"[\"\xff\"]", 2},
                        {"[{\"a\":\"\\x\"}]", 8},
                        {"7", 0},
                        {"[{}", 3}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.body);
    const auto decoded = decode(Format::json, c.body);
    ASSERT_TRUE(decoded.failure);
    EXPECT_EQ(decoded.failure->byte_offset, c.offset);
  }
}

TEST(DecodeJson, RejectsOneRecordThatIsNestedTooDeep) {
  const auto nested = [](int levels) {
    const auto count = static_cast<std::size_t>(levels);
    return R"({"ts":1767323045,"path":"/a","x":)" + std::string(count, '[') + "1" +
           std::string(count, ']') + "}";
  };
  for (const Format format : {Format::json, Format::ndjson}) {
    const std::string between = format == Format::json ? "," : "\n";
    const std::string all =
        nested(64) + between + nested(65) + between + nested(2000) + between + minimal;
    const auto decoded = decode(format, format == Format::json ? "[" + all + "]" : all);
    ASSERT_FALSE(decoded.failure) << decoded.failure->message;
    EXPECT_EQ(decoded.batch.record_count, 2U);
    ASSERT_EQ(decoded.batch.rejects.size(), 2U);
    EXPECT_EQ(decoded.batch.rejects[0].index, 1U);
    EXPECT_EQ(decoded.batch.rejects[0].reason, "nested deeper than 64 levels");
    EXPECT_EQ(decoded.batch.rejects[0].payload, nested(65));
  }
  EXPECT_EQ(decode(Format::json, nested(65)).batch.rejects.size(), 1U) << "one object";
}

TEST(DecodeJson, ReplacesHalfOfASurrogatePair) {
  EXPECT_EQ(decode_one(R"({"ts":1767323045,"path":"/a","ua":"x\ud83d","\udc00\"k":["\ud83dy\n"]})"),
            R"({"timestamp":"2026-01-02T03:04:05.000000Z","path":"/a","user_agent":"x�",)"
            R"("attributes":{"�\"k":"[\"�y\\n\"]"}})");
}

TEST(DecodeJson, TakesADashForNothingAndWholeNumbersInAnyForm) {
  EXPECT_EQ(decode_one(R"({"ts":1767323045,"path":"/a","bytes":"-","referer":"-","status":200.0})"),
            R"({"timestamp":"2026-01-02T03:04:05.000000Z","path":"/a","status":200})");
  EXPECT_EQ(decode_one(R"({"ts":1767323045,"path":"-","bytes":1e3,"note":"-"})"),
            R"({"timestamp":"2026-01-02T03:04:05.000000Z","path":"-","bytes":1000,)"
            R"("attributes":{"note":"-"}})");
  for (const char* bytes : {"1.5", "1e300", "-1.0", "\"nan\"", "\"inf\""}) {
    EXPECT_NE(decode_one(std::string(R"({"ts":1767323045,"path":"/a","bytes":)") + bytes + "}")
                  .find("is not a whole number"),
              std::string::npos)
        << bytes;
  }
}

TEST(DecodeJson, KeepsTheRejectedRecordAsItCame) {
  const auto decoded =
      decode(Format::json, R"([ {"ts":1767323045,"path":"/"} , { "path" : "/é" } ,7])");
  ASSERT_EQ(decoded.batch.rejects.size(), 2U);
  EXPECT_EQ(decoded.batch.rejects[0].index, 1U);
  EXPECT_EQ(decoded.batch.rejects[0].payload, R"({ "path" : "/é" })");
  EXPECT_EQ(decoded.batch.rejects[1].payload, "7");
  const auto large = decode(Format::json, R"({"x":")" + std::string(9000, 'x') + "\"}");
  EXPECT_EQ(large.batch.rejects.at(0).payload.size(), reject_payload_bytes_max);
}

TEST(DecodeNdjson, ALineThatIsNotJsonIsOneReject) {
  const std::string record = minimal;
  const auto decoded = decode(Format::ndjson, record + "\n\n{\"a\":\n" + record + "\r\n[1]\n" +
                                                  record + record + "\n" + record);
  ASSERT_FALSE(decoded.failure);
  EXPECT_EQ(decoded.batch.record_count, 3U);
  ASSERT_EQ(decoded.batch.rejects.size(), 3U);
  EXPECT_EQ(decoded.batch.rejects[0].index, 1U);
  EXPECT_EQ(decoded.batch.rejects[0].payload, "{\"a\":");
  EXPECT_EQ(decoded.batch.rejects[1].reason, "the line is not a JSON object");
}

TEST(DecodeCsv, ReadsRowsUnderTheirHeader) {
  const auto decoded = decode(Format::csv,
                              "\xEF\xBB\xBFtime,path,user agent,note\r\n"
                              "2026-01-02T03:04:05Z,/a,\"x \"\"y\"\",\nz\",\r\n"
                              "\r\n"
                              "2026-01-02T03:04:05Z,/b\r\n"
                              "2026-01-02T03:04:05Z,\"/c\"d,,\n"
                              "2026-01-02T03:04:05Z,/\xff,,\"1,\n2\"\n");
  ASSERT_FALSE(decoded.failure) << decoded.failure->message;
  EXPECT_EQ(decoded.batch.record_count, 2U);
  ASSERT_EQ(decoded.batch.rejects.size(), 2U);
  EXPECT_EQ(decoded.batch.rejects[0].reason, "2 fields, the header row has 4");
  EXPECT_EQ(decoded.batch.rejects[1].reason, "text behind a closing quote");
}

TEST(DecodeCsv, TakesQuotesCommasAndLineBreaks) {
  const auto decoded = decode(Format::csv,
                              "time,path,user agent,note\r\n"
                              "2026-01-02T03:04:05Z,/a,\"x \"\"y\"\",\nz\",\r\n"
                              "2026-01-02T03:04:05Z,/\xff,,\"1,\n2\"\n");
  ASSERT_TRUE(decoded.batch.rejects.empty()) << decoded.batch.rejects[0].reason;
  EXPECT_EQ(
      decoded.batch.records,
      R"({"timestamp":"2026-01-02T03:04:05.000000Z","path":"/a","user_agent":"x \"y\",\nz"})"
      "\n"
      R"({"timestamp":"2026-01-02T03:04:05.000000Z","path":"/\\xFF","attributes":{"note":"1,\n2"}})"
      "\n");
}

TEST(DecodeCsv, WantsAHeader) {
  EXPECT_TRUE(decode(Format::csv, "").failure);
  EXPECT_TRUE(decode(Format::csv, "1,2,3\n").failure);
  EXPECT_FALSE(decode(Format::csv, "time,path\n").failure);
  const auto no_path = decode(Format::csv, "time,status\n1767323045,200\n");
  ASSERT_TRUE(no_path.failure);
  EXPECT_TRUE(no_path.failure->message.starts_with("the CSV header row has no path (any of path"));
}

// What rows there are behind it, nobody can say.
TEST(DecodeCsv, RefusesABodyWithAQuoteThatIsNeverClosed) {
  const auto decoded = decode(Format::csv,
                              "\xEF\xBB\xBFtime,path\n"
                              "1767323045,/a\n"
                              "1767323045,\"/open\n"
                              "1767323045,/b\n");
  ASSERT_TRUE(decoded.failure);
  EXPECT_EQ(decoded.failure->message, "the body is not CSV: a quote is never closed");
  EXPECT_EQ(decoded.failure->byte_offset, 38U);
  EXPECT_EQ(decoded.batch.record_count, 0U);
}

TEST(DecodeCombined, ReadsLinesOfRealServers) {
  struct Case {
    const char* name;
    const char* line;
    const char* want;
  };
  const Case cases[] = {
      {"combined",
       R"(198.51.100.7 - - [02/Jan/2026:03:04:05 +0000] "GET /a?b=1 HTTP/1.1" 200 23 "https://r/" "Mozilla \"x\"")",
       R"("path":"/a","query":"b=1","method":"GET","referrer":"https://r/","user_agent":"Mozilla \"x\"","client_ip":"198.51.100.7","protocol":"HTTP/1.1","status":200,"bytes":23})"},
      {"common", R"(::1 - al b [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.0" 304 -)",
       R"("path":"/","method":"GET","client_ip":"::1","protocol":"HTTP/1.0","status":304,"attributes":{"remote_user":"al b"}})"},
      {"absent parts",
       R"(198.51.100.7 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 1 "-" "-")",
       R"("path":"/","method":"GET","client_ip":"198.51.100.7","protocol":"HTTP/1.1","status":200,"bytes":1})"},
      {"a port scanner",
       R"(198.51.100.7 - - [02/Jan/2026:03:04:05 +0000] "\x16\x03\xff" 400 1 "-" "-")",
       R"("path":"\u0016\u0003\\xFF","client_ip":"198.51.100.7","status":400,"bytes":1})"},
      {"a blank in the path",
       R"(h - - [02/Jan/2026:03:04:05 +0000] "GET /a b HTTP/1.1" 200 1 "-" "\xC3\xA9")",
       R"("path":"/a b","method":"GET","user_agent":"é","client_ip":"h","protocol":"HTTP/1.1","status":200,"bytes":1})"},
      {"a last quote left open",
       R"(h - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 1 "-" "Mozilla/5.0 (comp)",
       R"("path":"/","method":"GET","user_agent":"Mozilla/5.0 (comp","client_ip":"h","protocol":"HTTP/1.1","status":200,"bytes":1})"},
      {"no protocol", R"(h - - [02/Jan/2026:03:04:05 +0000] "GET /a" 200 1 "-" "-")",
       R"("path":"/a","method":"GET","client_ip":"h","status":200,"bytes":1})"},
      {"more behind", R"(h - - [02/Jan/2026:03:04:05 +0000] "-" 408 0 "-" "-" "10.0.0.1")",
       R"("path":"-","client_ip":"h","status":408,"bytes":0,"attributes":{"trailing":"\"10.0.0.1\""}})"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto decoded = decode(Format::combined, std::string(c.line) + "\r\n");
    ASSERT_TRUE(decoded.batch.rejects.empty()) << decoded.batch.rejects[0].reason;
    EXPECT_EQ(decoded.batch.records,
              std::string(R"({"timestamp":"2026-01-02T03:04:05.000000Z",)") + c.want + "\n");
  }
}

TEST(DecodeCombined, KeepsBytesThatAreNoTextInWhateverPartTheyStand) {
  const std::string time = " [02/Jan/2026:03:04:05 +0000] ";
  const std::string end = " HTTP/1.1\" 200 1 \"-\" \"-\"";
  const std::pair<std::string, std::string> cases[] = {
      {"h - -" + time + "\"GET /a\xff\xc3\xa9" + end, R"("path":"/a\\xFF\u00e9")"},
      {"h - u\xfe" + time + "\"GET /\xc3\xa9" + end, R"("remote_user":"u\\xFE")"},
      {"h - -" + time + "\"GET / HTTP/1.1\" 200 1 \"-\" \"x\xc3\"", R"("user_agent":"x\\xC3")"},
      {"h - -" + time +
           R"("GET /)"
           "\xff"
           R"(\x41 HTTP/1.1" 200 1 "-" "\\")",
       R"("path":"/\\xFFA")"},
      {"h - -" + time + "\"GET /\xc3\xa9" + end, "\"path\":\"/\xc3\xa9\""},
      {"h - -" + time + "\"GET /" + end + " more\xff", R"("trailing":"more\\xFF")"},
  };
  for (auto [line, want] : cases) {
    if (const auto at = want.find("\\u00e9"); at != std::string::npos) {
      want.replace(at, 6, "\xc3\xa9");
    }
    const auto decoded = decode(Format::combined, line + "\n");
    EXPECT_EQ(decoded.batch.record_count, 1U) << line;
    EXPECT_NE(decoded.batch.records.find(want), std::string::npos) << decoded.batch.records;
  }
}

TEST(DecodeCombined, ALineOfSomethingElseIsOneReject) {
  const auto decoded =
      decode(Format::combined,
             "hello\nh - - [x] \"y\" 200 1\nh - - [02/Jan/2026:03:04:05 +0000] \"/\" 200 1\n");
  EXPECT_EQ(decoded.batch.record_count, 1U);
  ASSERT_EQ(decoded.batch.rejects.size(), 2U);
  EXPECT_EQ(decoded.batch.rejects[1].field, "timestamp");
}

TEST(DecodeSite, AKeyDecidesOverTheRecord) {
  const auto decoded =
      decode(Format::json, R"({"ts":1767323045,"path":"/a","site":"s"})", {}, true);
  EXPECT_EQ(decoded.batch.records, std::string(minimal) + "\n");
}

// Random bytes, and random changes of good bodies: whatever comes in, every accepted line is
// canonical.
TEST(Decode, NeverAcceptsWhatTheWriterCannotRead) {
  const std::string good[] = {
      "[" + std::string(minimal) + R"(,{"ts":1,"path":"/\u00e9","a":{"b":[1,2,{}]}}])",
      "time,path,x\n2026-01-02T03:04:05Z,/a,\"1\"\"\"\n",
      R"(h - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 1 "-" "\"x")"};
  for (unsigned seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    std::string body = good[random() % 3];
    for (std::size_t i = random() % 4; i > 0; --i)
      body[random() % body.size()] = static_cast<char>(random());
    for (const Format format : {Format::json, Format::ndjson, Format::csv, Format::combined}) {
      const auto decoded = decode(format, body);
      CanonicalReader reader;
      reader.reset(decoded.batch.records);
      std::size_t lines = 0;
      while (true) {
        const auto record = reader.next();
        ASSERT_TRUE(record) << record.error().message << " in " << decoded.batch.records;
        if (*record == nullptr) break;
        ++lines;
      }
      ASSERT_EQ(lines, decoded.batch.record_count);
      const auto again = decode_batch(encode_headers(decoded.batch), decoded.batch.records);
      ASSERT_TRUE(again) << again.error().message;
      ASSERT_EQ(again->rejects.size(), decoded.batch.rejects.size());
    }
  }
}

}  // namespace
}  // namespace millrace::record
