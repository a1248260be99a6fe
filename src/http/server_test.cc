#include "http/server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "http/testing/raw_client.h"

namespace millrace::http {
namespace {

using std::chrono::milliseconds;

// Answers with what it was asked, by path: /hold waits for release(), /drop never answers, /throw
// throws, /refused is refused before its body, /empty is 204, /large is larger than sockets buffer.
class EchoHandler final : public Handler {
 public:
  std::optional<Response> admit(const Request& request) override {
    if (request.path != "/refused") return std::nullopt;
    return Response{.status = 401, .content_type = "text/plain", .headers = {}, .body = "no"};
  }

  void handle(Request request, Responder responder) override {
    if (request.path == "/drop") return;
    if (request.path == "/throw") throw std::runtime_error("a handler's bug");
    if (request.path == "/hold") return hold(std::move(responder));
    Response response;
    response.content_type = "text/plain";
    if (request.path == "/empty") {
      response.status = 204;
    } else if (request.path == "/large") {
      response.body.assign(64 << 20, 'x');
    } else {
      response.body = request.method + " " + request.path + " " + request.body;
    }
    responder.respond(std::move(response));
  }

  Response failure(const Failure& failure) override {
    return {.status = failure.status,
            .content_type = "application/json",
            .headers = {},
            .body = fmt::format("{} limit {} size {}", failure.message, failure.limit.value_or(0),
                                failure.size.value_or(0))};
  }

  // Waits until a request is held, and lets it go.
  Responder take_held() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !held_.empty(); });
    Responder responder = std::move(held_.front());
    held_.pop_front();
    return responder;
  }
  void release() {
    take_held().respond({.status = 200, .content_type = "", .headers = {}, .body = "held"});
  }

 private:
  void hold(Responder responder) {
    const std::lock_guard lock(mutex_);
    held_.push_back(std::move(responder));
    changed_.notify_all();
  }

  std::condition_variable changed_;  // Waited for with `mutex_`, about `held_`.
  std::mutex mutex_;
  std::deque<Responder> held_;
};

std::string get(const std::string& path, const std::string& headers = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: test\r\n" + headers + "\r\n";
}

std::string post(const std::string& path, const std::string& body,
                 const std::string& headers = "") {
  return fmt::format("POST {} HTTP/1.1\r\nHost: test\r\n{}Content-Length: {}\r\n\r\n{}", path,
                     headers, body.size(), body);
}

const std::string chunked_header =
    "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";

class HttpServer : public testing::Test {
 protected:
  HttpServer() {
    options_.port = 0;
    options_.threads = 1;
  }

  // A connection to the server, which is started by the first.
  std::unique_ptr<RawClient> client() {
    if (!server_) {
      auto started = Server::start(options_, handler_, metrics_);
      MR_ASSERT(started.has_value());
      server_ = *std::move(started);
    }
    return std::make_unique<RawClient>(server_->port());
  }

  // The answer to the only request of a connection.
  RawClient::Response ask(const std::string& bytes) {
    const auto connection = client();
    const auto response = connection->send(bytes).read();
    return response.value_or(RawClient::Response{});
  }

  double connections() {
    return metrics_.gauge("millrace_http_connections", "Open connections.", {{"listener", "api"}})
        .value();
  }

  ServerOptions options_;
  MetricsRegistry metrics_;
  EchoHandler handler_;
  std::unique_ptr<Server> server_;
};

TEST_F(HttpServer, AnswersPipelinedRequestsInOrderHoweverTheirBytesArrive) {
  const std::string requests = get("/a%20b?c=d") + post("/p", "body") + chunked_header +
                               "3;extension=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n" +
                               get("http://proxy.test/z");
  for (const bool is_slow : {false, true}) {
    SCOPED_TRACE(is_slow ? "byte by byte" : "at once");
    const auto connection = client();
    if (is_slow)
      connection->send_byte_by_byte(requests);
    else
      connection->send(requests);
    EXPECT_EQ(connection->read()->body, "GET /a b ");
    EXPECT_EQ(connection->read()->body, "POST /p body");
    EXPECT_EQ(connection->read()->body, "POST / abcde");
    EXPECT_EQ(connection->read()->body, "GET /z ");
  }
}

// A connection that rests gives its buffer back, and takes it again.
TEST_F(HttpServer, TakesRequestsAfterAPause) {
  const auto connection = client();
  for (int pause = 0; pause < 3; ++pause) {
    EXPECT_EQ(connection->send(post("/p", "body")).read()->body, "POST /p body");
    std::this_thread::sleep_for(milliseconds(120));
    const std::string request = get("/split");
    connection->send(request.substr(0, 9));
    std::this_thread::sleep_for(milliseconds(120));
    EXPECT_EQ(connection->send(request.substr(9)).read()->body, "GET /split ");
  }
}

TEST_F(HttpServer, HoldsBackALaterAnswerUntilTheEarlierIsThere) {
  const auto connection = client();
  connection->send(get("/hold") + get("/next"));
  handler_.release();
  EXPECT_EQ(connection->read()->body, "held");
  EXPECT_EQ(connection->read()->body, "GET /next ");
}

TEST_F(HttpServer, AnswersHeadWithoutABodyAnd204WithoutALength) {
  const auto connection = client();
  connection->send("HEAD /h HTTP/1.1\r\nHost: test\r\n\r\n" + get("/empty") + get("/"));
  const auto head = connection->read(true);
  EXPECT_EQ(head->headers.at("content-length"), "8");
  EXPECT_EQ(head->headers.at("date").size(), std::string("Sun, 06 Nov 1994 08:49:37 GMT").size());
  const auto empty = connection->read();
  EXPECT_EQ(empty->status, 204);
  EXPECT_EQ(empty->headers.count("content-length"), 0U);
  EXPECT_EQ(connection->read()->body, "GET / ");
}

TEST_F(HttpServer, SaysContinueOnlyToWhatIsAdmitted) {
  const std::string expect = "Expect: 100-continue\r\nContent-Length: 3\r\n";
  const auto admitted = client();
  admitted->send("POST / HTTP/1.1\r\nHost: test\r\n" + expect + "\r\n");
  EXPECT_EQ(admitted->read()->status, 100);
  EXPECT_EQ(admitted->send("abc").read()->body, "POST / abc");

  const auto refused = client();
  refused->send("POST /refused HTTP/1.1\r\nHost: test\r\n" + expect + "\r\n");
  EXPECT_EQ(refused->read()->status, 401);
  EXPECT_EQ(refused->read_to_end(), "") << "the body that was announced may come or not";
}

TEST_F(HttpServer, SpeaksHttp10) {
  const auto closing = client();
  EXPECT_EQ(closing->send("GET / HTTP/1.0\r\n\r\n").read()->status, 200);
  EXPECT_EQ(closing->read_to_end(), "");
  const auto kept = client();
  for (int i = 0; i < 2; ++i) {
    kept->send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(kept->read()->status, 200);
  }
}

TEST_F(HttpServer, AnswersFourHundredAndClosesWhereItCannotBeSureWhatIsMeant) {
  struct Case {
    const char* name;
    std::string bytes;
  };
  const std::string start = "POST / HTTP/1.1\r\nHost: test\r\n";
  const Case cases[] = {
      {"no HTTP", "nonsense\r\n\r\n"},
      {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {"length and coding", start + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"},
      {"coding and length", start + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc"},
      {"two lengths", start + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
      {"a length that is none", start + "Content-Length: +3\r\n\r\nabc"},
      {"unknown coding", start + "Transfer-Encoding: gzip\r\n\r\n" + get("/smuggled")},
      {"coding before chunked", start + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
      {"coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"no host", "GET / HTTP/1.1\r\n\r\n"},
      {"two hosts", get("/", "Host: other\r\n")},
      {"blank before colon", get("/", "Content-Length : 3\r\n")},
      {"chunk size that is none", chunked_header + "xyz\r\n"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto connection = client();
    const auto response = connection->send(c.bytes).read();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 400);
    EXPECT_EQ(response->headers.at("content-type"), "application/json");
    EXPECT_EQ(connection->read_to_end(), "") << "nothing after it is taken for a request";
  }
}

TEST_F(HttpServer, KeepsItsLimitsOfSize) {
  options_.header_bytes_max = 1024;
  options_.body_bytes_max = 1000;
  const auto filled = [](std::size_t size) {
    const std::string empty = get("/", "X: \r\n");
    return get("/", "X: " + std::string(size - empty.size(), 'x') + "\r\n");
  };
  EXPECT_EQ(ask(filled(1024)).status, 200);
  const auto header = ask(filled(1025));
  EXPECT_EQ(header.status, 431);
  EXPECT_NE(header.body.find("(http.header_size_max) limit 1024"), std::string::npos);

  EXPECT_EQ(ask(post("/", std::string(1000, 'x'))).status, 200);
  const auto body = ask(post("/", std::string(1001, 'x')));
  EXPECT_EQ(body.status, 413);
  EXPECT_EQ(body.body,
            "the body has more than 1000 bytes (http.body_size_max) limit 1000 size 1001");

  const auto chunk = [](std::size_t size) {
    return fmt::format("{}{:x}\r\n{}\r\n0\r\n\r\n", chunked_header, size, std::string(size, 'x'));
  };
  EXPECT_EQ(ask(chunk(1000)).status, 200);
  EXPECT_EQ(ask(chunk(1001)).status, 413);
}

// printf hello | gzip -n, padded with empty members.
const std::string hello_gzip(
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00"
    "\x00\x00",
    25);

TEST_F(HttpServer, DecompressesWithinItsLimits) {
  options_.body_decompressed_bytes_max = 5;
  EXPECT_EQ(ask(post("/", hello_gzip, "Content-Encoding: GZIP\r\n")).body, "POST / hello");
  EXPECT_EQ(ask(post("/", "plain", "Content-Encoding: identity\r\n")).body, "POST / plain");

  const auto too_large = ask(post("/", hello_gzip + hello_gzip, "Content-Encoding: gzip\r\n"));
  EXPECT_EQ(too_large.status, 413);
  EXPECT_NE(too_large.body.find("(http.body_decompressed_size_max) limit 5"), std::string::npos);
  EXPECT_EQ(ask(post("/", "hello", "Content-Encoding: gzip\r\n")).status, 400);
  EXPECT_EQ(ask(post("/", "x", "Content-Encoding: br\r\n")).status, 415);
  EXPECT_EQ(
      ask(post("/", hello_gzip, "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n")).status,
      415);
}

TEST_F(HttpServer, RefusesAnUnknownEncodingBeforeItsBody) {
  const auto connection = client();
  connection->send(
      "POST / HTTP/1.1\r\nHost: test\r\nContent-Encoding: br\r\nContent-Length: 9\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(connection->read()->status, 415);
}

TEST_F(HttpServer, GivesUpOnSlowClients) {
  options_.header_timeout = options_.body_timeout = options_.idle_timeout = milliseconds(20);
  struct Case {
    const char* name;
    std::string bytes;
    std::string answer;  // Of the last request; empty: closed without one.
  };
  const Case cases[] = {
      {"half a header", "GET / HT", "HTTP/1.1 408"},
      {"half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx", "HTTP/1.1 408"},
      {"half a chunk", chunked_header + "5\r\nx", "HTTP/1.1 408"},
      {"nothing", "", ""}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto connection = client();
    const std::string answer = connection->send(c.bytes).read_to_end();
    EXPECT_EQ(answer.substr(0, c.answer.size()), c.answer);
    EXPECT_EQ(answer.empty(), c.answer.empty());
  }
  const auto kept = client();
  EXPECT_EQ(kept->send(get("/")).read()->status, 200);
  EXPECT_EQ(kept->read_to_end(), "") << "closed between requests";
}

// Data that always arrives just when the time is up must not make it go on for ever.
TEST_F(HttpServer, GivesUpOnClientsThatNeverPause) {
  options_.body_timeout = milliseconds(50);
  options_.body_bytes_max = options_.bodies_in_flight_bytes_max = 1UL << 40;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(client());
    clients.back()->send(i % 2 == 0
                             ? chunked_header
                             : "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
  }
  // Not smaller: the kernel drops what it has no room for, and sends that again later and later.
  const std::string chunk = "400\r\n" + std::string(1024, 'x') + "\r\n";
  const auto give_up_at = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!clients.empty() && std::chrono::steady_clock::now() < give_up_at) {
    std::erase_if(clients, [&chunk](const auto& sender) { return !sender->send_all(chunk); });
  }
  EXPECT_EQ(clients.size(), 0U);
}

TEST_F(HttpServer, BoundsTheFramingOfChunks) {
  for (const char* start : {"5;extension=", "0\r\nTrailer: "}) {
    SCOPED_TRACE(start);
    const auto connection = client();
    connection->send(chunked_header + start + std::string(200'000, 'x'));
    EXPECT_EQ(connection->read()->status, 400);
  }
}

// A client that sends all before it reads gets the answer, and no reset.
TEST_F(HttpServer, ReadsWhatIsStillSentBeforeItCloses) {
  const auto connection = client();
  EXPECT_TRUE(connection->send_all(post("/", std::string(16 << 20, 'x'))));
  EXPECT_EQ(connection->read()->status, 413);
  const auto refused = client();
  EXPECT_TRUE(refused->send_all(post("/refused", std::string(8 << 20, 'x'))));
  EXPECT_EQ(refused->read()->status, 401);
}

TEST_F(HttpServer, ClosesOnAClientThatDoesNotReadItsAnswer) {
  options_.write_timeout = milliseconds(50);
  const auto connection = client();
  EXPECT_EQ(connection->send(get("/")).read()->status, 200);  // It is counted.
  connection->send(get("/large") + get("/"));
  // A connection of its own tells when the first one is gone: then it is the only one.
  const auto watcher = client();
  do ASSERT_EQ(watcher->send(get("/")).read()->status, 200);
  while (connections() > 1);
  EXPECT_LT(connection->read_to_end().size(), 64U << 20);
}

TEST_F(HttpServer, RefusesConnectionsBeyondTheLimitAndTakesThemAgain) {
  options_.connections_max = 2;
  auto first = client();
  const auto second = client();
  EXPECT_EQ(first->send(get("/")).read()->status, 200);
  EXPECT_EQ(second->send(get("/")).read()->status, 200);
  const auto refused = client()->read();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(refused->headers.at("retry-after"), "1");
  EXPECT_NE(refused->body.find("(http.connections_max) limit 2"), std::string::npos);
  for (int i = 0; i < 20; ++i) {
    const auto late = client();
    std::this_thread::sleep_for(milliseconds(1));
    EXPECT_EQ(late->send(post("/", std::string(1000, 'x'))).read()->status, 503) << "not a reset";
  }
  first.reset();
  while (connections() > 1) ASSERT_EQ(second->send(get("/")).read()->status, 200);
  EXPECT_EQ(client()->send(get("/")).read()->status, 200);
}

TEST_F(HttpServer, BoundsTheBodiesThatAreUnderWay) {
  options_.bodies_in_flight_bytes_max = 100;
  const auto held = client();
  held->send(post("/hold", std::string(60, 'x')));
  Responder responder = handler_.take_held();

  EXPECT_EQ(ask(post("/", std::string(40, 'x'))).status, 200) << "at the limit";
  const auto busy = ask(post("/", std::string(41, 'x')));
  EXPECT_EQ(busy.status, 503);
  EXPECT_EQ(busy.headers.at("retry-after"), "1");
  EXPECT_NE(busy.body.find("(http.bodies_in_flight_size_max) limit 100"), std::string::npos);
  EXPECT_EQ(ask(get("/")).status, 200) << "it has no body";
  EXPECT_EQ(ask(chunked_header + "28\r\n" + std::string(40, 'x') + "\r\n0\r\n\r\n").status, 200);
  EXPECT_EQ(ask(chunked_header + "29\r\n" + std::string(41, 'x') + "\r\n0\r\n\r\n").status, 503);

  responder.respond({});
  EXPECT_EQ(held->read()->status, 200);
  EXPECT_EQ(ask(post("/", std::string(101, 'x'))).status, 200) << "alone, whatever its size";
}

TEST_F(HttpServer, AnswersFiveHundredForARequestThatIsDropped) {
  const auto connection = client();
  connection->send(get("/drop") + get("/throw") + get("/"));
  EXPECT_EQ(connection->read()->status, 500);
  EXPECT_EQ(connection->read()->status, 500);
  EXPECT_EQ(connection->read()->status, 200) << "the connection goes on";
}

TEST_F(HttpServer, TakesAnswersFromAnyThreadAlsoWhenNobodyWaits) {
  const auto connection = client();
  connection->send(get("/hold"));
  std::thread([this] { handler_.release(); }).join();
  EXPECT_EQ(connection->read()->body, "held");

  auto gone = client();
  gone->send(get("/hold"));
  Responder late = handler_.take_held();
  gone.reset();
  late.respond({});

  connection->send(get("/hold"));
  Responder later = handler_.take_held();
  server_->stop(milliseconds(0));
  server_.reset();
  later.respond({});
}

TEST_F(HttpServer, NoticesThatNobodyWaitsForTheAnswer) {
  const auto waiting = client();
  waiting->send(get("/hold"));
  Responder wanted = handler_.take_held();
  auto leaving = client();
  leaving->send(get("/hold") + get("/next"));
  Responder unwanted = handler_.take_held();
  const StopCheck wanted_check = wanted.client_check();
  const StopCheck unwanted_check = unwanted.client_check();
  EXPECT_FALSE(unwanted_check());
  leaving.reset();
  while (!unwanted_check()) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_FALSE(wanted_check());
  wanted.respond({});
  unwanted.respond({});
  EXPECT_EQ(waiting->read()->status, 200);
  EXPECT_FALSE(wanted_check());
  EXPECT_TRUE(unwanted_check());
}

TEST_F(HttpServer, LetsRequestsUnderWayFinishWhenItStops) {
  const auto idle = client();
  EXPECT_EQ(idle->send(get("/")).read()->status, 200);
  const auto busy = client();
  busy->send(get("/hold") + get("/next"));
  Responder responder = handler_.take_held();

  std::thread stopping([this] { server_->stop(std::chrono::hours(1)); });
  EXPECT_EQ(idle->read_to_end(), "") << "is closed while the other is waited for";
  responder.respond({});
  const auto answer = busy->read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->headers.at("connection"), "close");
  EXPECT_EQ(busy->read_to_end(), "");
  stopping.join();
  EXPECT_EQ(connections(), 0);
  server_->stop(milliseconds(0));
}

TEST_F(HttpServer, ServesWithAllItsThreadsOnOnePort) {
  options_.threads = 3;
  const auto port = client();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this] {
      RawClient connection(server_->port());
      for (int request = 0; request < 50; ++request) {
        EXPECT_EQ(connection.send(post("/", "x")).read()->body, "POST / x");
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST_F(HttpServer, NamesThePortThatIsTaken) {
  const auto connection = client();
  options_.port = server_->port();
  const auto second = Server::start(options_, handler_, metrics_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::unavailable);
  EXPECT_EQ(second.error().message,
            fmt::format("cannot listen on 127.0.0.1:{}: Address already in use", options_.port));
}

}  // namespace
}  // namespace millrace::http
