#include "protocol/client_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pie::protocol {
namespace {

using Opens = ClientSession::Opens;
using testing::HasSubstr;

struct Recorder : EventSink {
  void on_event(Result<ClientEvent> event) override {
    if (event.ok()) {
      events.push_back(*event);
    } else {
      errors.push_back(event.error());
    }
  }
  void on_lost(const Error& error) override { lost.push_back(error); }

  std::vector<ClientEvent> events;
  std::vector<Error> errors;
  std::vector<Error> lost;
};

struct ClientSessionTest : testing::Test {
  void receive(const ServerMessage& message) {
    const Result<void> taken = session.on_frame(encode(message));
    ASSERT_TRUE(taken.ok()) << taken.error().message;
  }

  uint32_t begin(Opens opens = Opens::kNothing) {
    return session.begin(opens,
                         [this](Result<Reply> reply) { replies.push_back(std::move(reply)); });
  }

  /// A launch whose handler opens the instance, as the client library does.
  uint32_t begin_launch() {
    return session.begin(Opens::kInstance, [this](Result<Reply> reply) {
      if (reply.ok() && reply->successful) session.open(reply->text, sink);
      replies.push_back(std::move(reply));
    });
  }

  ClientSession session;
  std::shared_ptr<Recorder> sink = std::make_shared<Recorder>();
  std::vector<Result<Reply>> replies;
};

const Error kGone{ErrorCode::kUnavailable, "gone"};

ServerMessage out(const std::string& id, const std::string& text) {
  return StreamingOutput{id, StreamingOutput::Stream::kStdout, text};
}

TEST_F(ClientSessionTest, answers_find_their_calls_in_any_order) {
  const uint32_t first = begin();
  const uint32_t second = begin();
  receive(Response{second, false, "no"});
  receive(Response{first, true, "yes"});
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_EQ(replies[0]->text, "no");
  EXPECT_FALSE(replies[0]->successful);
  EXPECT_EQ(replies[1]->text, "yes");
  EXPECT_EQ(session.pending_count(), 0u);
}

TEST_F(ClientSessionTest, an_answer_to_nobody_is_dropped) {
  receive(Response{77, true, ""});
  EXPECT_TRUE(replies.empty());
}

TEST_F(ClientSessionTest, events_before_the_launch_answer_are_kept_in_order) {
  const uint32_t launch = begin_launch();
  receive(out("i", "a"));
  receive(InstanceEvent{"i", EventCode::kMessage, "b"});
  EXPECT_TRUE(sink->events.empty());
  receive(InstanceLaunchResult{launch, true, "i"});
  receive(out("i", "c"));
  EXPECT_EQ(sink->events,
            (std::vector<ClientEvent>{
                {EventCode::kStdout, "a"}, {EventCode::kMessage, "b"}, {EventCode::kStdout, "c"}}));
}

TEST_F(ClientSessionTest, a_whole_life_before_the_launch_answer_is_kept_too) {
  const uint32_t launch = begin_launch();
  receive(out("i", "a"));
  receive(InstanceEvent{"i", EventCode::kCompleted, ""});
  receive(InstanceLaunchResult{launch, true, "i"});
  ASSERT_EQ(sink->events.size(), 2u);
  EXPECT_EQ(sink->events[1].code, EventCode::kCompleted);
}

TEST_F(ClientSessionTest, events_that_a_launch_took_over_do_not_count_any_more) {
  session = ClientSession({.early_bytes_max = 4096});
  uint32_t launch = begin_launch();
  for (int i = 0; i < 20; ++i) {  // some launch is pending all the time
    const uint32_t next = begin_launch();
    receive(out("i", std::string(1000, 'x')));
    receive(InstanceLaunchResult{launch, true, "i"});
    receive(InstanceEvent{"i", EventCode::kCompleted, ""});
    launch = next;
  }
  EXPECT_EQ(sink->events.size(), 40u);
}

TEST_F(ClientSessionTest, too_much_before_the_launch_answer_ends_the_connection) {
  session = ClientSession({.early_bytes_max = 4096});
  begin_launch();
  receive(out("i", std::string(3000, 'x')));
  const Result<void> more = session.on_frame(encode(out("i", std::string(3000, 'x'))));
  ASSERT_FALSE(more.ok());
  EXPECT_THAT(more.error().message, HasSubstr("expected at most 4096"));
}

TEST_F(ClientSessionTest, events_of_unknown_instances_are_not_kept_without_a_launch) {
  receive(out("i", "stray"));
  const uint32_t launch = begin_launch();
  receive(InstanceLaunchResult{launch, true, "i"});
  EXPECT_TRUE(sink->events.empty());
}

TEST_F(ClientSessionTest, a_refused_launch_keeps_what_another_one_waits_for) {
  const uint32_t refused = begin_launch();
  const uint32_t launch = begin_launch();
  receive(out("i", "a"));
  receive(Response{refused, false, "[launch_instance] bad"});
  receive(InstanceLaunchResult{launch, true, "i"});
  EXPECT_EQ(sink->events.size(), 1u);
}

TEST_F(ClientSessionTest, instances_do_not_get_each_others_events) {
  auto other = std::make_shared<Recorder>();
  session.open("i", sink);
  session.open("j", other);
  receive(out("j", "x"));
  EXPECT_TRUE(sink->events.empty());
  EXPECT_EQ(other->events.size(), 1u);
}

TEST_F(ClientSessionTest, a_sink_that_is_gone_gets_nothing) {
  session.open("i", sink);
  sink.reset();
  receive(out("i", "x"));
  EXPECT_EQ(session.sink_of("i"), nullptr);
}

TEST_F(ClientSessionTest, a_blob_is_put_together_and_comes_between_its_neighbours) {
  session.open("i", sink);
  const std::string hash = crypto::blake3_hex("blobby");
  receive(out("i", "before"));
  receive(DownloadBlob{"i", hash, {0, 2, {'b', 'l', 'o'}}});
  receive(DownloadBlob{"i", hash, {1, 2, {'b', 'b', 'y'}}});
  receive(out("i", "after"));
  ASSERT_EQ(sink->events.size(), 3u);
  EXPECT_EQ(sink->events[1], (ClientEvent{EventCode::kBlob, "blobby"}));
}

TEST_F(ClientSessionTest, a_blob_with_a_wrong_hash_is_an_error_of_its_instance) {
  session.open("i", sink);
  receive(DownloadBlob{"i", "feed", {0, 1, {'x'}}});
  receive(out("i", "after"));
  ASSERT_EQ(sink->errors.size(), 1u);
  EXPECT_EQ(sink->errors[0].code, ErrorCode::kCorrupt);
  EXPECT_THAT(sink->errors[0].message, HasSubstr("Hash mismatch: expected feed"));
  EXPECT_EQ(sink->events.size(), 1u);
}

TEST_F(ClientSessionTest, a_lost_connection_ends_every_call_and_every_sink_at_once) {
  begin();
  begin(Opens::kInstance);
  session.open("i", sink);
  session.on_lost(kGone);
  session.on_lost({ErrorCode::kUnavailable, "again"});
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_EQ(replies[0].error(), kGone);
  EXPECT_EQ(replies[1].error(), kGone);
  EXPECT_EQ(sink->lost, std::vector<Error>{kGone});
}

TEST_F(ClientSessionTest, after_the_loss_calls_and_sinks_end_when_they_begin) {
  session.on_lost(kGone);
  EXPECT_EQ(begin(), 0u);
  EXPECT_EQ(replies.at(0).error(), kGone);
  session.open("i", sink);
  EXPECT_EQ(sink->lost.size(), 1u);
}

TEST_F(ClientSessionTest, a_handler_may_begin_the_next_call) {
  uint32_t second = 0;
  const uint32_t first =
      session.begin(Opens::kNothing, [&](const Result<Reply>&) { second = begin(); });
  receive(Response{first, true, "challenge"});
  ASSERT_NE(second, 0u);
  receive(Response{second, true, "Authenticated"});
  EXPECT_EQ(replies.at(0)->text, "Authenticated");
}

TEST_F(ClientSessionTest, a_replaced_handler_takes_the_answer) {
  const uint32_t call = begin();
  std::string orphan;
  EXPECT_TRUE(session.replace(call, [&](Result<Reply> reply) { orphan = reply->text; }));
  receive(InstanceLaunchResult{call, true, "i"});
  EXPECT_TRUE(replies.empty());
  EXPECT_EQ(orphan, "i");
  EXPECT_FALSE(session.replace(call, [](const Result<Reply>&) {}));
}

TEST_F(ClientSessionTest, what_is_no_message_breaks_the_protocol) {
  const Result<void> taken = session.on_frame("\xc1");
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kCorrupt);
}

TEST_F(ClientSessionTest, list_answers_carry_their_instances) {
  const uint32_t call = begin();
  receive(LiveInstances{call, {{"i", "cmd", {}, "Attached", "ada", 3, 4}}});
  ASSERT_EQ(replies.at(0)->instances.size(), 1u);
  EXPECT_EQ(replies[0]->instances[0].kv_pages_used, 4u);
}

}  // namespace
}  // namespace pie::protocol
