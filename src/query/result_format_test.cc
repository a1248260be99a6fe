#include "query/result_format.h"

#include <gtest/gtest.h>

namespace millrace::query {
namespace {

std::string formatted(ResultFormat format, bool has_rows = true) {
  const auto engine = *sql::Engine::open({});
  std::string text;
  const auto sink = format_result(format, [&text](std::string_view piece) {
    text += piece;
    return true;
  });
  EXPECT_TRUE(engine->query(
      std::string("SELECT * FROM (VALUES (1, 'é,\"', true, NULL, MAP {'k': 'v'}, 'nan'::DOUBLE), "
                  "(20, '', false, DATE '2026-01-02', MAP {}, 0.5)) t(n, \"te xt\", b, d, m, f)") +
          (has_rows ? "" : " WHERE false"),
      *sink));
  sink->finish();
  return text;
}

TEST(ResultFormat, WritesEachFormat) {
  EXPECT_EQ(formatted(ResultFormat::table),
            "n   te xt  b      d           m          f\n"
            "--  -----  -----  ----------  ---------  ---\n"
            " 1  é,\"    true   NULL        {\"k\":\"v\"}  nan\n"
            "20         false  2026-01-02  {}         0.5\n"
            "(2 rows)\n");
  EXPECT_EQ(formatted(ResultFormat::csv),
            "n,te xt,b,d,m,f\r\n"
            "1,\"é,\"\"\",true,,\"{\"\"k\"\":\"\"v\"\"}\",nan\r\n"
            "20,\"\",false,2026-01-02,{},0.5\r\n");
  EXPECT_EQ(formatted(ResultFormat::ndjson),
            R"({"n":1,"te xt":"é,\"","b":true,"d":null,"m":{"k":"v"},"f":"nan"})"
            "\n"
            R"({"n":20,"te xt":"","b":false,"d":"2026-01-02","m":{},"f":0.5})"
            "\n");
  EXPECT_EQ(formatted(ResultFormat::json, false), "[]\n");
  EXPECT_EQ(formatted(ResultFormat::ndjson, false), "");
}

TEST(ResultFormat, KeepsTableColumnsAlignedAndTheTerminalSafe) {
  std::string text;
  const auto sink = format_result(ResultFormat::table, [&text](std::string_view piece) {
    text += piece;
    return true;
  });
  sink->columns({{"path", sql::ValueKind::text}, {"n", sql::ValueKind::number}});
  sink->row({"/日本", "1"});
  sink->row({"/é", "20"});
  sink->row({"\x1b\u009b2J", "3"});
  sink->row({"\xff\xc3", "4"});
  sink->finish();
  EXPECT_EQ(text,
            "path        n\n"
            "----------  --\n"
            "/日本        1\n"
            "/é          20\n"
            "\\x1B\\x9B2J   3\n"
            "\xff\xc3           4\n"
            "(4 rows)\n");
}

TEST(ResultFormat, StreamsATableOnceItsColumnsAreMeasured) {
  std::size_t pieces = 0;
  const auto sink = format_result(ResultFormat::table, [&pieces](std::string_view) {
    ++pieces;
    return pieces < 3;
  });
  sink->columns({{"n", sql::ValueKind::number}});
  for (int i = 0; i < 1001; ++i) EXPECT_TRUE(sink->row({"1"}));
  EXPECT_EQ(pieces, 2U);
  EXPECT_FALSE(sink->row({"longer than the column"})) << "the output wants no more";
}

}  // namespace
}  // namespace millrace::query
