#include "net/http_server.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "net/http_client.h"
#include "net/ws_client.h"

namespace pie::net {
namespace {

constexpr std::chrono::seconds kDeadline{30};

/// Sends back what it gets.
class Echo final : public WsHandler {
 public:
  explicit Echo(std::promise<Closing>& closed) : closed_(closed) {}
  void on_open(std::shared_ptr<WsConnection> connection) override {
    connection_ = std::move(connection);
  }
  void on_message(std::string_view frame) override { connection_->send(std::string(frame)); }
  void on_text() override {}
  void on_pong(std::string_view) override {}
  void on_heard() override {}
  void on_drained() override {}
  void on_closed(Closing closing) override {
    connection_.reset();
    closed_.set_value(closing);
  }

 private:
  std::promise<Closing>& closed_;
  std::shared_ptr<WsConnection> connection_;
};

/// One port that answers requests, and echoes over WebSockets.
class HttpServerTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto answer = [](const std::shared_ptr<HttpExchange>& exchange) {
      exchange->fail(200, "you asked for " + exchange->head().target);
    };
    const WsRoute echo{{}, [this] { return std::make_shared<Echo>(closed_); }};
    auto server = HttpServer::listen(threads_, {}, answer, echo);
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(*server);
  }
  void TearDown() override { server_->stop_and_wait(0); }

  /// The body of what a request gets.
  std::string get(const std::string& target) {
    auto client = HttpClient::create(threads_, {.allow = {"127.0.0.0/8:*"}});
    if (!client.ok()) return client.error().message;
    std::promise<HttpCallAnswer> answered;
    HttpCallRequest request;
    request.head = {"GET", "http", "127.0.0.1:" + std::to_string(server_->port()), target, {}};
    const auto call = (*client)->start(
        std::move(request), [&](HttpCallAnswer answer) { answered.set_value(std::move(answer)); });
    auto answer = answered.get_future();
    if (answer.wait_for(kDeadline) != std::future_status::ready) return "no answer";
    const HttpCallAnswer got = answer.get();
    if (got.failure) return got.failure->code;
    std::string text;
    for (BodyPipe::Read piece; piece.state == BodyPipe::Read::State::kBytes;) {
      piece = got.body->read(BodyPipe::kDefaultBytesMax);
      text += piece.bytes;
    }
    return text;
  }

  IoThreads threads_{2};
  std::promise<WsHandler::Closing> closed_;
  std::shared_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, one_port_answers_requests_and_speaks_websocket) {
  EXPECT_EQ(get("/health"), "you asked for /health\n");

  boost::asio::io_context io;
  std::string echoed;
  std::unique_ptr<WsClient> client;
  WsClient::Handlers handlers;
  handlers.on_open = [&] { client->send("hello"); };
  handlers.on_frame = [&](std::string_view frame) -> Result<void> {
    echoed = frame;
    client->close();
    return {};
  };
  handlers.on_closed = [](const Error&) {};
  const WsUrl url{false, "127.0.0.1", std::to_string(server_->port()), "/"};
  client = std::make_unique<WsClient>(io, url, WsClient::Options{}, handlers);
  io.run_for(kDeadline);
  EXPECT_EQ(echoed, "hello");
  auto closed = closed_.get_future();
  ASSERT_EQ(closed.wait_for(kDeadline), std::future_status::ready);
  EXPECT_EQ(closed.get(), WsHandler::Closing::kByPeer);
}

TEST_F(HttpServerTest, stopping_says_goodbye_to_websockets_and_frees_the_port) {
  boost::asio::io_context io;
  std::string why;
  WsClient::Handlers handlers;
  handlers.on_open = [&] { server_->stop([] {}, 10'000); };
  handlers.on_closed = [&](const Error& error) { why = error.message; };
  const WsUrl url{false, "127.0.0.1", std::to_string(server_->port()), "/"};
  const WsClient client(io, url, WsClient::Options{}, handlers);
  io.run_for(kDeadline);
  EXPECT_NE(why.find("1001: the server is stopping"), std::string::npos) << why;
  server_->stop_and_wait(10'000);
  const auto again = HttpServer::listen(threads_, {.port = server_->port()}, nullptr, std::nullopt);
  ASSERT_TRUE(again.ok()) << again.error().message;
  (*again)->stop_and_wait(0);
}

}  // namespace
}  // namespace pie::net
