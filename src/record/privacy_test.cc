#include "record/privacy.h"

#include <gtest/gtest.h>

#include "record/testing/decoded.h"

namespace millrace::record {
namespace {

// What a privacy setting left of a JSON record with these members behind "ts" and "path".
std::string stored(const std::string& members, DecoderOptions options) {
  std::string line =
      decode_one(R"({"ts":1767323045,"path":"/a",)" + members + "}", std::move(options));
  const std::string head = R"({"timestamp":"2026-01-02T03:04:05.000000Z","path":"/a")";
  if (!line.starts_with(head)) return line;
  return line.substr(head.size(), line.size() - head.size() - 1);
}

DecoderOptions with(ClientIpPrivacy client_ip) { return {.client_ip = client_ip}; }

DecoderOptions redacting(std::vector<std::string> names) {
  return {.redacted_query_parameters = std::move(names)};
}

TEST(TruncatedAddress, ZeroesWhatTellsPeopleApart) {
  struct Case {
    const char* address;
    const char* want;
  };
  const Case cases[] = {
      {"198.51.100.7", "198.51.100.0"},          {"198.051.100.007", "198.051.100.0"},
      {"2001:db8:1:2::3", "2001:db8:1::"},       {"::1", "::"},
      {"::ffff:198.51.100.7", "198.51.100.0"},   {"::FFFF:c633:6407", "198.51.100.0"},
      {"2002:c633:6407::1", "2002:c633:6400::"}, {"::198.51.100.7", "::"}};
  for (const Case& c : cases) EXPECT_EQ(truncated_address(c.address), c.want) << c.address;
  for (const char* other : {"", "unix:", "198.51.100", "198.51.100.256", "198.51.100.7:80",
                            "1.2.3.4.5", "1.2.3.1234", "fe80::1%eth0", "12:34:56"}) {
    EXPECT_EQ(truncated_address(other), std::nullopt) << other;
  }
}

TEST(WithTruncatedAddresses, FindsThemInAnyText) {
  struct Case {
    const char* text;
    const char* want;
  };
  const Case cases[] = {
      {"198.51.100.7", "198.51.100.0"},
      {"198.51.100.7, 10.0.0.1", "198.51.100.0, 10.0.0.0"},
      {"for=198.51.100.7:80;by=x", "for=198.51.100.0:80;by=x"},
      {"for=\"[2001:db8:1:2::3]:443\"", "for=\"[2001:db8:1::]:443\""},
      {"2001:db8:1:2:3:4:5:6:443", "2001:db8:1:::443"},
      {"from ::ffff:198.51.100.7.", "from 198.51.100.0."},
      {"ip:2001:db8:1:2::3: closed", "ip:2001:db8:1::: closed"},
      {"198.51.100.7.54321 > x", "198.51.100.0.54321 > x"},
      {"face:198.51.100.7", "face:198.51.100.0"},
      {R"({"a":["198.51.100.7"]})", R"({"a":["198.51.100.0"]})"},
  };
  for (const Case& c : cases) EXPECT_EQ(with_truncated_addresses(c.text), c.want) << c.text;
  for (const char* other : {"", "12:34:56", "1.2.3", "std::string", "Dead::", "aa:bb:cc:dd:ee:ff",
                            "999.1.1.1", "2026-01-02T03:04:05.123Z", "...::..::", "::"}) {
    EXPECT_EQ(with_truncated_addresses(other), std::nullopt) << other;
  }
  EXPECT_EQ(with_truncated_addresses(std::string(100'000, ':')), std::nullopt);
}

TEST(IsNamedForClient, KnowsTheNamesOfProxiesAndSchemas) {
  for (const char* name :
       {"x_forwarded_for", "X-Forwarded-For", "http.request.header.x-forwarded-for", "Forwarded",
        "http_forwarded", "x-real-ip", "CF-Connecting-IP", "True-Client-IP", "fastly-client-ip",
        "remoteIp", "c-ip", "net.sock.peer.addr", "network.peer.address", "source.ip", "ip"}) {
    EXPECT_TRUE(is_named_for_client(name, "x")) << name;
  }
  for (const char* name : {"x_forwarded_proto", "zip", "server_ip", "upstream_addr", "membership",
                           "bytes_forwarded", "client", ""}) {
    EXPECT_FALSE(is_named_for_client(name, "x")) << name;
  }
  EXPECT_TRUE(is_named_for_client("headers", R"({"a":{"X-Forwarded-For":"dsl-7.isp"}})"));
  EXPECT_TRUE(is_named_for_client("headers", R"(["Host","h","X-Real-IP","dsl-7.isp"])"));
  EXPECT_FALSE(is_named_for_client("headers", R"({"a\"":"b","ips":[]})"));
  EXPECT_FALSE(is_named_for_client("note", R"(the "ip" is unknown)"));
}

TEST(RedactedText, RedactsWhereverAParameterMayStand) {
  struct Case {
    const char* text;
    const char* want;
  };
  const Case cases[] = {
      {"token=s", "token=REDACTED"},
      {"/a?b=1&Token=s&c=2", "/a?b=1&Token=REDACTED&c=2"},
      {"GET /a?token=s HTTP/1.1", "GET /a?token=REDACTED HTTP/1.1"},
      {"https://h/#token=s", "https://h/#token=REDACTED"},
      {"/a;token=s", "/a;token=REDACTED"},
      {"?to%6Ben=s", "?to%6Ben=REDACTED"},
      {"?token=&x", "?token=REDACTED&x"},
      {"?token=a=b&token=c", "?token=REDACTED&token=REDACTED"},
      {R"({"q":"token=s\"t","u":"/?token=s"})",
       R"({"q":"token=REDACTED\"t","u":"/?token=REDACTED"})"},
  };
  for (const Case& c : cases) EXPECT_EQ(redacted_text(c.text, {"token"}), c.want) << c.text;
  for (const char* other : {"", "=", "tokens=s", "/token=s", "token", "?token", "a%", "%zz=1"}) {
    EXPECT_EQ(redacted_text(other, {"token"}), std::nullopt) << other;
  }
  EXPECT_EQ(redacted_query("token=a \"b\"&c", {"token"}), "token=REDACTED&c");
  EXPECT_EQ(redacted_query("token[]=a&token%5B0%5D=b&token2=c", {"token"}),
            "token[]=REDACTED&token%5B0%5D=REDACTED&token2=c");
  EXPECT_EQ(redacted_query("user%5Bpw%5D=s", {"user[pw]"}), "user%5Bpw%5D=REDACTED");
}

TEST(UrlWithoutUser, TakesOutNamesAndPasswords) {
  EXPECT_EQ(url_without_user("HTTPS://u:p@h:80/a@b?c"), "HTTPS://h:80/a@b?c");
  EXPECT_EQ(url_without_user("ftp://u:p@q@h"), "ftp://h");
  EXPECT_EQ(url_without_user("//u:p@h/a"), "//h/a");
  for (const char* other :
       {"", "/a@b", "//h/a@b", "https://h/@me", "https://h?a@b", "u@h", "://u@h"}) {
    EXPECT_EQ(url_without_user(other), std::nullopt) << other;
  }
}

TEST(DecodePrivacy, MakesAddressesCoarser) {
  struct Case {
    const char* address;
    const char* truncated;
  };
  const Case cases[] = {{"198.51.100.7", R"(,"client_ip":"198.51.100.0")"},
                        {"::ffff:198.51.100.7", R"(,"client_ip":"198.51.100.0")"},
                        {"2001:db8:1:2::3", R"(,"client_ip":"2001:db8:1::")"},
                        {"unix:", ""}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.address);
    const std::string member = std::string(R"("ip":")") + c.address + "\"";
    EXPECT_EQ(stored(member, with(ClientIpPrivacy::truncate)), c.truncated);
    EXPECT_EQ(stored(member, with(ClientIpPrivacy::drop)), "");
  }
}

TEST(DecodePrivacy, ReachesAddressesInAttributes) {
  struct Case {
    const char* name;
    const char* members;
    const char* truncated;
    const char* dropped;
  };
  const Case cases[] = {
      {"second name", R"("client_ip":"198.51.100.7","remote_addr":"198.51.100.7")",
       R"(,"client_ip":"198.51.100.0","attributes":{"remote_addr":"198.51.100.0"})", ""},
      {"list of a known name", R"("x_forwarded_for":"198.51.100.7, 10.0.0.1")", "", ""},
      {"host name", R"("true-client-ip":"dsl-7.isp.example")", "", ""},
      {"as an integer", R"("cf_connecting_ip":3325256711)", "", ""},
      {"nested by name", R"("req":{"headers":[{"X-Real-IP":"dsl-7.isp.example"}]})", "", ""},
      {"nested under any name", R"("req":{"peer":["::ffff:198.51.100.7"],"x":1})",
       R"(,"attributes":{"req":"{\"peer\":[\"198.51.100.0\"],\"x\":1}"})", ""},
      {"object for a column", R"("client_ip":{"name":"dsl-7"})", "", ""},
      {"any text", R"("message":"198.51.100.7 came by")",
       R"(,"attributes":{"message":"198.51.100.0 came by"})", ""},
      {"in an attribute's name", R"("198.51.100.7":1)", "", ""},
      {"none", R"("note":"x","x_forwarded_proto":"https")",
       R"(,"attributes":{"note":"x","x_forwarded_proto":"https"})",
       R"(,"attributes":{"note":"x","x_forwarded_proto":"https"})"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(stored(c.members, with(ClientIpPrivacy::truncate)), c.truncated);
    EXPECT_EQ(stored(c.members, with(ClientIpPrivacy::drop)), c.dropped);
  }
}

TEST(DecodePrivacy, ReachesAllPartsOfALogLine) {
  // The second line is of a server that writes its own name in front.
  const std::string lines =
      R"(198.51.100.7 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 1 "-" "-" "198.51.100.7")"
      "\n"
      R"(h:80 198.51.100.7 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 1 "-" "-")";
  for (const auto policy : {ClientIpPrivacy::truncate, ClientIpPrivacy::drop}) {
    const auto decoded = decode(Format::combined, lines, with(policy));
    EXPECT_EQ(decoded.batch.record_count, 2U);
    EXPECT_EQ(decoded.batch.records.find("198.51.100.7"), std::string::npos)
        << decoded.batch.records;
  }
}

TEST(DecodePrivacy, KeepsNothingOfRejects) {
  const std::string bodies[] = {R"([{"ip":"198.51.100.7"},{"ts":"198.51.100.7","path":"/"},7])",
                                R"([{"ts":1767323045,"path":{"u":"198.51.100.7"}}])",
                                R"([{"ts":1767323045,"path":"/","status":"198.51.100.7"}])",
                                R"([{"ts":1767323045,"path":"/","bytes":"198.51.100.7"}])",
                                R"([{"ts":1767323045,"path":"/","duration_ms":"198.51.100.7"}])"};
  const std::pair<DecoderOptions, std::string> settings[] = {
      {with(ClientIpPrivacy::truncate), "privacy.client_ip"},
      {with(ClientIpPrivacy::drop), "privacy.client_ip"},
      {redacting({"token"}), "privacy.redact_query_parameters"}};
  for (const std::string& body : bodies) {
    for (const auto& [options, setting] : settings) {
      const auto decoded = decode(Format::json, body, options);
      ASSERT_FALSE(decoded.batch.rejects.empty());
      for (const Reject& reject : decoded.batch.rejects) {
        EXPECT_EQ(reject.payload, "");
        EXPECT_TRUE(reject.reason.ends_with("; what came is not kept (" + setting + ")"))
            << reject.reason;
        EXPECT_EQ(reject.reason.find("198.51.100.7"), std::string::npos) << reject.reason;
      }
    }
  }
}

TEST(DecodePrivacy, RedactsParameters) {
  EXPECT_EQ(
      decode_one(
          R"({"ts":1767323045,"path":"/a?x=1&Token=s&token&y=","referrer":"http://h/?token=t#f"})",
          redacting({"token"})),
      R"({"timestamp":"2026-01-02T03:04:05.000000Z","path":"/a","query":"x=1&Token=REDACTED&token&y=","referrer":"http://h/?token=REDACTED"})");
}

TEST(DecodePrivacy, RedactsParametersInAttributesAndPaths) {
  EXPECT_EQ(stored(R"("url":"https://h/a?token=s","request":"GET /a?token=s HTTP/1.1",)"
                   R"("args":"token=s","query":"x","o":{"u":"/?token=s"})",
                   redacting({"token"})),
            R"(,"query":"x","attributes":{"args":"token=REDACTED",)"
            R"("o":"{\"u\":\"/?token=REDACTED\"}","request":"GET /a?token=REDACTED HTTP/1.1",)"
            R"("url":"https://h/a?token=REDACTED"})");
  EXPECT_EQ(decode_one(R"({"ts":1767323045,"path":"/a#token=s"})", redacting({"token"})),
            R"({"timestamp":"2026-01-02T03:04:05.000000Z","path":"/a#token=REDACTED"})");
}

TEST(DecodePrivacy, NeverKeepsThePasswordOfAUrl) {
  EXPECT_EQ(
      decode_one(R"({"ts":1767323045,"url":"https://u:pw@h:8/a","referrer":"http://u:pw@r/"})"),
      R"({"timestamp":"2026-01-02T03:04:05.000000Z","path":"/a","host":"h:8","referrer":"http://r/"})");
  EXPECT_EQ(stored(R"("url":"https://u:pw@h/a","host":"u:pw@h")", {}),
            R"(,"host":"h","attributes":{"url":"https://h/a"})");
  EXPECT_EQ(decode_one(R"({"ts":1767323045,"url":"https://u:pw@/a"})"), minimal);
}

}  // namespace
}  // namespace millrace::record
