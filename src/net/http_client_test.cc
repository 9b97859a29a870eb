#include "net/http_client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/http_server.h"

namespace pie::net {
namespace {

using Ms = std::chrono::milliseconds;
constexpr Ms kDeadline{30'000};

/// A server that answers everything with more than a pipe holds, and a client that may ask it.
class HttpClientTest : public testing::Test {
 protected:
  void SetUp() override {
    auto server =
        HttpServer::listen(threads_, {}, [](const std::shared_ptr<HttpExchange>& exchange) {
          auto body = std::make_shared<BodyPipe>();
          body->write(std::string(4 << 20, 'x'));
          body->end();
          exchange->respond({200, {}}, std::move(body));
        });
    ASSERT_TRUE(server.ok());
    server_ = std::move(*server);
  }
  void TearDown() override {
    client_ = nullptr;
    std::promise<void> stopped;
    server_->stop([&] { stopped.set_value(); });
    EXPECT_EQ(stopped.get_future().wait_for(kDeadline), std::future_status::ready);
  }

  void make_client(HttpClientConfig config) {
    config.allow = {"127.0.0.0/8:*", "slow.example:*", "fast.example:*"};
    auto client = HttpClient::create(threads_, config);
    ASSERT_TRUE(client.ok());
    client_ = std::move(*client);
  }

  struct Call {
    std::future<HttpCallAnswer> answer;
    std::shared_ptr<void> handle;
    HttpCallAnswer get() {
      EXPECT_EQ(answer.wait_for(kDeadline), std::future_status::ready);
      return answer.get();
    }
  };
  Call start(const std::string& user, const std::string& host = "127.0.0.1",
             uint64_t connect_timeout_ns = 0) {
    HttpCallRequest request;
    request.user = user;
    request.connect_timeout_ns = connect_timeout_ns;
    request.head.authority = host + ":" + std::to_string(server_->port());
    auto promise = std::make_shared<std::promise<HttpCallAnswer>>();
    Call call{promise->get_future(), nullptr};
    call.handle = client_->start(std::move(request), [promise](HttpCallAnswer answer) {
      promise->set_value(std::move(answer));
    });
    return call;
  }

  IoThreads threads_{2};
  std::shared_ptr<HttpServer> server_;
  std::unique_ptr<HttpClient> client_;
};

TEST_F(HttpClientTest, responses_that_nobody_reads_keep_no_places_for_ever) {
  make_client({.calls_per_user_max = 2, .unread_ms_max = 300});
  std::vector<Call> held;  // as a program holds its futures
  std::vector<HttpCallAnswer> unread;
  for (int i = 0; i < 2; ++i) {
    held.push_back(start("ann"));
    unread.push_back(held.back().get());
  }
  const HttpCallAnswer refused = start("ann").get();
  ASSERT_TRUE(refused.failure.has_value());
  EXPECT_EQ(refused.failure->code, "connection-limit-reached");
  EXPECT_FALSE(start("bob").get().failure.has_value());  // others are not concerned
  const auto give_up = std::chrono::steady_clock::now() + kDeadline;
  while (!unread[0].body->failure() || !unread[1].body->failure()) {
    ASSERT_LT(std::chrono::steady_clock::now(), give_up);
    std::this_thread::yield();
  }
  while (start("ann").get().failure) {  // her places are free then, or nearly
    ASSERT_LT(std::chrono::steady_clock::now(), give_up);
    std::this_thread::yield();
  }
  // What has come of them can be read, and then why there is no more.
  BodyPipe::Read got;
  uint64_t bytes = 0;
  do {
    got = unread[0].body->read(BodyPipe::kDefaultBytesMax);
    bytes += got.bytes.size();
  } while (!got.bytes.empty());
  EXPECT_GT(bytes, 0U);
  ASSERT_EQ(got.state, BodyPipe::Read::State::kFailed);
  EXPECT_EQ(unread[0].body->failure()->code, "connection-read-timeout");
}

TEST_F(HttpClientTest, a_name_that_is_slow_to_look_up_holds_up_nobody_else) {
  std::promise<void> released;
  const std::shared_future<void> gate = released.get_future().share();
  std::atomic<int> slow{0};
  make_client({.look_up = [&](const std::string& name) -> Result<NameLookup::Addresses> {
    if (name == "slow.example") {
      ++slow;
      gate.wait();
    }
    return NameLookup::Addresses{boost::asio::ip::make_address("127.0.0.1")};
  }});
  std::vector<Call> waiting;
  for (int i = 0; i < 20; ++i) waiting.push_back(start("ann", "slow.example", 200'000'000));
  for (int i = 0; i < 20; ++i)
    EXPECT_FALSE(start("user" + std::to_string(i), "fast.example").get().failure.has_value());
  for (Call& call : waiting) {
    const auto failure = call.get().failure;
    EXPECT_TRUE(failure && failure->code == "connection-timeout");
  }
  // Those that were given up before their turn are never looked up.
  released.set_value();
  EXPECT_FALSE(start("ann", "fast.example").get().failure.has_value());
  EXPECT_EQ(slow, 2);
}

TEST_F(HttpClientTest, a_name_that_is_not_found_says_why) {
  make_client({.look_up = [](const std::string&) -> Result<NameLookup::Addresses> {
    return Error{ErrorCode::kNotFound, "no such name"};
  }});
  const HttpCallAnswer answer = start("ann", "fast.example").get();
  ASSERT_TRUE(answer.failure.has_value());
  EXPECT_EQ(answer.failure->code, "DNS-error");
  EXPECT_EQ(answer.failure->detail, "no such name");
}

}  // namespace
}  // namespace pie::net
