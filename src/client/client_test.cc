#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client/wait.h"
#include "crypto/blake3.h"
#include "net/http_server.h"
#include "protocol/codec.h"

namespace pie::client {
namespace {

using protocol::ClientMessage;
using protocol::ServerMessage;
using testing::HasSubstr;

constexpr std::chrono::seconds kDeadline{60};

/// A server whose answer to each message the test decides.
class Peer {
 public:
  using Answer = std::function<void(net::WsConnection&, const ClientMessage&)>;

  explicit Peer(Answer answer, std::function<void(std::string)> pong = nullptr)
      : answer_(std::move(answer)), pong_(std::move(pong)) {
    auto listening = net::HttpServer::listen(
        threads_, {}, nullptr,
        net::WsRoute{{}, [this] { return std::make_shared<Handler>(answer_, pong_); }});
    EXPECT_TRUE(listening.ok());
    server_ = std::move(*listening);
  }
  ~Peer() { server_->stop_and_wait(0); }
  std::string url() const { return "ws://127.0.0.1:" + std::to_string(server_->port()); }

 private:
  struct Handler : net::WsHandler {
    Handler(Answer a, std::function<void(std::string)> p)
        : answer(std::move(a)), pong(std::move(p)) {}
    void on_open(std::shared_ptr<net::WsConnection> opened) override {
      connection = opened;
      connection->set_known("tester");  // unknown ones' messages are short
    }
    void on_message(std::string_view frame) override {
      const auto decoded = protocol::decode_client_message(frame);
      const auto* message = std::get_if<ClientMessage>(&decoded);
      ASSERT_NE(message, nullptr) << std::get<protocol::DecodeError>(decoded).error.message;
      answer(*connection, *message);
    }
    void on_text() override {}
    void on_pong(std::string_view payload) override {
      if (pong) pong(std::string(payload));
    }
    void on_heard() override {}
    void on_drained() override {}
    void on_closed(Closing) override { connection.reset(); }

    Answer answer;
    std::function<void(std::string)> pong;
    std::shared_ptr<net::WsConnection> connection;
  };

  Answer answer_;
  std::function<void(std::string)> pong_;
  net::IoThreads threads_{1};
  std::shared_ptr<net::HttpServer> server_;
};

void say(net::WsConnection& to, const ServerMessage& message) {
  to.send(protocol::encode(message));
}

Result<void> connect(Client& client) {
  return wait_for<void>([&](auto done) { client.connect(done); });
}

TEST(Client, an_upload_arrives_whole_and_tells_its_progress) {
  const std::string program(30u << 20, 'p');
  std::optional<protocol::ChunkReceiver> receiver;
  Peer peer([&](net::WsConnection& connection, const ClientMessage& message) {
    const auto& upload = std::get<protocol::UploadProgram>(message);
    if (!receiver) receiver.emplace(upload.program_hash);
    const auto step = receiver->accept(upload.chunk);
    if (step == protocol::ChunkReceiver::Step::kComplete) {
      say(connection, protocol::Response{upload.corr_id, true, "stored"});
    }
  });
  Client client({.uri = peer.url()});
  ASSERT_TRUE(connect(client).ok());
  uint64_t told = 0;
  const Result<std::string> hash = wait_for<std::string>([&](auto done) {
    client.upload_program(
        borrowed_source({reinterpret_cast<const uint8_t*>(program.data()), program.size()},
                        nullptr),
        std::nullopt, [&](uint64_t sent, uint64_t) { told = sent; }, done);
  });
  ASSERT_TRUE(hash.ok()) << hash.error().message;
  EXPECT_EQ(*hash, crypto::blake3_hex(program));
  EXPECT_EQ(told, program.size());
}

TEST(Client, a_vanished_server_ends_every_call_and_every_blocking_receive) {
  Peer peer([](net::WsConnection& connection, const ClientMessage& message) {
    if (const auto* launch = std::get_if<protocol::LaunchInstance>(&message)) {
      say(connection, protocol::InstanceLaunchResult{launch->corr_id, true, "i"});
    } else {
      connection.abort();
    }
  });
  Client client({.uri = peer.url()});
  ASSERT_TRUE(connect(client).ok());
  const Result<Instance> instance =
      wait_for<Instance>([&](auto done) { client.launch("a", {}, done); });
  ASSERT_TRUE(instance.ok());
  Result<protocol::ClientEvent> received = Error{};
  std::thread receiving([&] { received = instance->events().pop(kDeadline); });
  const Result<void> ping = wait_for<void>([&](auto done) { client.ping(done); });
  receiving.join();
  EXPECT_EQ(ping.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(received.error().code, ErrorCode::kUnavailable);
  const Result<void> later = wait_for<void>([&](auto done) { client.ping(done); });
  EXPECT_EQ(later.error().code, ErrorCode::kUnavailable);
  const auto before = std::chrono::steady_clock::now();
  client.close();  // must not wait for the timers of the lost connection
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10));
}

TEST(Client, a_ping_is_answered_once_the_events_before_it_are_confirmed) {
  std::mutex mutex;
  std::condition_variable came;
  std::vector<std::string> pongs;
  Peer peer(
      [](net::WsConnection& connection, const ClientMessage& message) {
        const auto& launch = std::get<protocol::LaunchInstance>(message);
        say(connection, protocol::InstanceLaunchResult{launch.corr_id, true, "i"});
        for (const char* text : {"one", "two"}) {
          say(connection,
              protocol::StreamingOutput{"i", protocol::StreamingOutput::Stream::kStdout, text});
          connection.ping(text);
        }
      },
      [&](std::string payload) {
        const std::lock_guard lock(mutex);
        pongs.push_back(std::move(payload));
        came.notify_all();
      });
  const auto wait_for_pongs = [&](size_t count) {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(came.wait_for(lock, kDeadline, [&] { return pongs.size() >= count; }));
    return pongs;
  };
  Client client({.uri = peer.url(), .confirms_events = true});
  ASSERT_TRUE(connect(client).ok());
  const Result<Instance> instance =
      wait_for<Instance>([&](auto done) { client.launch("a", {}, done); });
  ASSERT_TRUE(instance.ok());
  EXPECT_EQ(instance->events().pop(kDeadline)->data, "one");
  EXPECT_EQ(wait_for_pongs(1), std::vector<std::string>{""});  // alive, and no more than that
  instance->events().confirm();
  EXPECT_EQ(instance->events().pop(kDeadline)->data, "two");
  const auto so_far = wait_for_pongs(2);
  EXPECT_EQ(std::ranges::count(so_far, "one"), 1);
  EXPECT_EQ(std::ranges::count(so_far, "two"), 0);
  client.drop();
  EXPECT_EQ(std::ranges::count(wait_for_pongs(2), "two"), 0);
}

TEST(Client, the_last_reference_may_go_in_a_callback) {
  Peer peer([](net::WsConnection& connection, const ClientMessage& message) {
    say(connection, protocol::Response{std::get<protocol::Ping>(message).corr_id, true, "Pong"});
  });
  auto client = std::make_shared<Client>(ClientOptions{.uri = peer.url()});
  ASSERT_TRUE(connect(*client).ok());
  auto* borrowed = client.get();
  auto gone = std::make_shared<std::promise<void>>();
  auto future = gone->get_future();
  borrowed->ping([last = std::move(client), gone](const Result<void>&) mutable {
    last.reset();
    gone->set_value();
  });
  EXPECT_EQ(future.wait_for(kDeadline), std::future_status::ready);
}

TEST(Client, closing_ends_what_is_in_flight_and_what_comes_later) {
  Peer peer([](net::WsConnection&, const ClientMessage&) {});
  auto client = std::make_unique<Client>(ClientOptions{.uri = peer.url()});
  ASSERT_TRUE(connect(*client).ok());
  Result<void> ping = Error{};
  client->ping([&](Result<void> result) { ping = std::move(result); });
  client->close();
  EXPECT_EQ(ping.error().code, ErrorCode::kUnavailable);
  Result<void> later;
  client->ping([&](Result<void> result) { later = std::move(result); });
  EXPECT_EQ(later.error().code, ErrorCode::kUnavailable);
}

TEST(Client, calls_before_connecting_say_so_and_a_client_may_die_unconnected) {
  Client client({.uri = "ws://127.0.0.1:1"});
  const Result<void> ping = wait_for<void>([&](auto done) { client.ping(done); });
  EXPECT_THAT(ping.error().message, HasSubstr("connect first"));
  EXPECT_EQ(connect(client).error().code, ErrorCode::kUnavailable);
}

TEST(Client, a_cancelled_attach_keeps_the_events_for_the_next_one) {
  std::optional<uint32_t> attach;
  Peer peer([&](net::WsConnection& connection, const ClientMessage& message) {
    if (const auto* asked = std::get_if<protocol::AttachInstance>(&message)) {
      EXPECT_FALSE(attach) << "the second attach needs no server";
      attach = asked->corr_id;
    } else {
      say(connection, protocol::InstanceAttachResult{*attach, true, "Instance attached"});
      say(connection,
          protocol::StreamingOutput{"i", protocol::StreamingOutput::Stream::kStdout, "kept"});
      say(connection, protocol::Response{std::get<protocol::Ping>(message).corr_id, true, "Pong"});
    }
  });
  Client client({.uri = peer.url()});
  ASSERT_TRUE(connect(client).ok());
  client.cancel(client.attach("i", [](const Result<Instance>&) { FAIL() << "cancelled"; }));
  ASSERT_TRUE(wait_for<void>([&](auto done) { client.ping(done); }).ok());
  const Result<Instance> again = wait_for<Instance>([&](auto done) { client.attach("i", done); });
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->events().pop(kDeadline)->data, "kept");
}

TEST(Inbox, hands_out_events_in_order_and_then_the_end) {
  Inbox inbox;
  EXPECT_FALSE(inbox.try_pop());
  int woken = 0;
  const uint64_t forgotten = inbox.when_ready([&] { ++woken; });
  inbox.when_ready([&] { woken += 10; });
  inbox.forget(forgotten);
  inbox.on_event(protocol::ClientEvent{protocol::EventCode::kMessage, "m"});
  inbox.on_event(protocol::ClientEvent{protocol::EventCode::kCompleted, "value"});
  inbox.on_lost({ErrorCode::kUnavailable, "gone"});
  EXPECT_EQ(woken, 10);
  EXPECT_EQ(inbox.pop()->data, "m");
  EXPECT_TRUE(inbox.has_final());
  EXPECT_FALSE(inbox.end());
  EXPECT_EQ(inbox.pop()->code, protocol::EventCode::kCompleted);
  EXPECT_EQ(inbox.pop().error().message, "instance has ended: Completed: value");
  EXPECT_EQ(inbox.pop().error().code, ErrorCode::kFailedPrecondition);
}

TEST(Inbox, a_receive_that_times_out_says_so) {
  Inbox inbox;
  EXPECT_EQ(inbox.pop(std::chrono::milliseconds(1)).error().code, ErrorCode::kTimeout);
}

}  // namespace
}  // namespace pie::client
