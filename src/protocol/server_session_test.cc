#include "protocol/server_session.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "crypto/blake3.h"

namespace pie::protocol {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

Chunk chunk(uint32_t index, uint32_t total, std::string_view text) {
  Chunk made;
  made.index = index;
  made.total = total;
  made.data.assign(text.begin(), text.end());
  return made;
}

class MemorySpool final : public UploadSpool {
 public:
  MemorySpool(const uint64_t& room, Bytes bytes) : room_(room), bytes_(std::move(bytes)) {}
  Result<void> write(Bytes bytes) override {
    if (bytes_.size() + bytes.size() > room_)
      return Error{ErrorCode::kResourceExhausted, "disk full"};
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return {};
  }
  uint64_t size() const override { return bytes_.size(); }
  Result<BlobRef> finish() override { return make_memory_blob(std::move(bytes_)); }

 private:
  const uint64_t& room_;
  Bytes bytes_;
};

class MemorySpools final : public UploadSpools {
 public:
  UploadSpoolRef open(const std::string&) override {
    return std::make_shared<MemorySpool>(room, Bytes{});
  }
  uint64_t room = UINT64_MAX;
};

class ServerSessionTest : public testing::Test {
 protected:
  explicit ServerSessionTest(ServerSessionConfig config = {.internal_token = std::string(64, 't')})
      : session_(std::move(config), spools_, 0) {}

  void say(const ClientMessage& message) { session_.on_frame(encode(message), now_); }
  /// What is to be sent now, decoded; other actions are kept for the other accessors.
  std::vector<ServerMessage> sent() {
    sort();
    return std::exchange(sent_, {});
  }
  Response response() {
    auto all = sent();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? Response{} : std::get<Response>(all.front());
  }
  template <class Request>
  std::vector<Request> requests() {
    sort();
    std::vector<Request> wanted;
    for (auto& one : requests_)
      if (auto* match = std::get_if<Request>(&one)) wanted.push_back(*match);
    requests_.clear();
    return wanted;
  }
  std::vector<std::string> pings() {
    sort();
    return std::exchange(pings_, {});
  }
  void identify() {
    say(Identification{1, "user"});
    sent();
  }
  void sort() {
    for (auto& action : session_.take_actions()) {
      if (auto* frame = std::get_if<SendFrame>(&action))
        sent_.push_back(std::get<ServerMessage>(decode_server_message(frame->bytes)));
      if (auto* late = std::get_if<SendDelayed>(&action))
        late_.push_back(std::get<ServerMessage>(decode_server_message(late->bytes)));
      if (auto* ping = std::get_if<SendPing>(&action)) pings_.push_back(ping->payload);
      if (auto* close = std::get_if<CloseConnection>(&action)) closed_ = *close;
      if (std::holds_alternative<DropConnection>(action)) dropped_ = true;
      if (auto* request = std::get_if<SessionRequest>(&action)) requests_.push_back(*request);
      if (auto* delivered = std::get_if<Delivered>(&action)) delivered_.push_back(*delivered);
    }
  }

  uint64_t now_ = 0;
  MemorySpools spools_;
  ServerSession session_;
  std::vector<ServerMessage> sent_, late_;
  std::vector<SessionRequest> requests_;
  std::vector<std::string> pings_;
  std::vector<Delivered> delivered_;
  std::optional<CloseConnection> closed_;
  bool dropped_ = false;
};

/// One user may have one connection; it asks whenever somebody signs in.
class FullSessionTest : public ServerSessionTest {
 protected:
  FullSessionTest()
      : ServerSessionTest({.internal_token = std::string(64, 't'),
                           .admit = [this](const std::string& user) -> Result<void> {
                             asked_.push_back(user);
                             if (has_room_) return {};
                             return Error{ErrorCode::kResourceExhausted, "too many"};
                           }}) {}
  bool has_room_ = false;
  std::vector<std::string> asked_;
};

TEST_F(FullSessionTest, who_has_too_many_connections_is_told_so_and_may_try_again) {
  say(Identification{1, "ann"});
  EXPECT_EQ(response(), (Response{1, false, "too many"}));
  EXPECT_FALSE(session_.authenticated());
  EXPECT_FALSE(closed_.has_value());
  has_room_ = true;
  say(Identification{2, "ann"});
  EXPECT_TRUE(response().successful);
  EXPECT_TRUE(session_.authenticated());
  EXPECT_EQ(asked_, (std::vector<std::string>{"ann", "ann"}));
}

TEST_F(ServerSessionTest, a_part_of_a_frame_is_a_sign_of_life) {
  identify();
  const ServerSessionConfig defaults;
  const uint64_t silent = defaults.ping_interval_ns * defaults.ping_misses_max;
  session_.on_heard(silent - kSecond);
  session_.on_tick(silent + kSecond);
  sort();
  EXPECT_FALSE(dropped_);
  session_.on_tick(2 * silent);
  sort();
  EXPECT_TRUE(dropped_);
}

TEST_F(ServerSessionTest, identification_with_authentication_off_answers_the_fixed_text) {
  say(Identification{7, "anyone"});
  EXPECT_EQ(response(), (Response{7, true, "Authenticated (Engine disabled authentication)"}));
  EXPECT_EQ(session_.user(), "anyone");
  say(Identification{8, "again"});
  EXPECT_EQ(response(), (Response{8, true, "Already authenticated"}));
  EXPECT_EQ(session_.user(), "anyone");
}

TEST_F(ServerSessionTest, the_name_internal_is_refused) {
  say(Identification{1, "internal"});
  EXPECT_TRUE(sent().empty());
  ASSERT_EQ(late_.size(), 1u);
  EXPECT_EQ(std::get<Response>(late_[0]),
            (Response{1, false, "User 'internal' is not authorized"}));
  EXPECT_FALSE(session_.authenticated());
}

TEST_F(ServerSessionTest, nothing_is_taken_before_the_answer_to_a_failure_is_out) {
  say(InternalAuthenticate{1, "wrong"});
  say(InternalAuthenticate{2, std::string(64, 't')});
  EXPECT_FALSE(response().successful);
  EXPECT_TRUE(closed_);
}

TEST_F(ServerSessionTest, the_internal_token_authenticates_and_a_wrong_one_is_answered_late) {
  say(InternalAuthenticate{1, std::string(63, 't') + "x"});
  EXPECT_TRUE(sent().empty());
  ASSERT_EQ(late_.size(), 1u);
  EXPECT_EQ(std::get<Response>(late_[0]), (Response{1, false, "Invalid token"}));
  session_.failure_sent(now_);
  say(InternalAuthenticate{2, std::string(64, 't')});
  EXPECT_EQ(response(), (Response{2, true, "Authenticated"}));
  EXPECT_EQ(session_.user(), "internal");
}

TEST_F(ServerSessionTest, a_stranger_who_only_answers_pings_is_closed_with_a_reason) {
  for (; now_ < 30 * kSecond; now_ += kSecond) {
    session_.on_pong("alive", now_);
    session_.on_tick(now_);
    sort();
    ASSERT_FALSE(closed_) << now_;
  }
  session_.on_tick(now_);
  sort();
  ASSERT_TRUE(closed_);
  EXPECT_EQ(closed_->code, 1008);
  EXPECT_NE(closed_->reason.find("within 30 s"), std::string::npos) << closed_->reason;
}

TEST_F(ServerSessionTest, the_time_to_sign_in_begins_anew_after_a_failure_and_ends_with_success) {
  now_ = 29 * kSecond;
  say(InternalAuthenticate{1, "wrong"});
  now_ = 50 * kSecond;  // the answer waits its turn
  session_.on_tick(now_);
  sort();
  EXPECT_FALSE(closed_);
  session_.failure_sent(now_);
  now_ = 79 * kSecond;
  session_.on_pong("alive", now_);
  session_.on_tick(now_);
  sort();
  EXPECT_FALSE(closed_);
  identify();
  now_ = 110 * kSecond;
  session_.on_pong("alive", now_);
  session_.on_tick(now_);
  sort();
  EXPECT_FALSE(closed_);
}

TEST_F(ServerSessionTest, anything_else_first_is_refused_and_closes) {
  say(Ping{3});
  EXPECT_FALSE(response().successful);
  ASSERT_TRUE(closed_);
  EXPECT_EQ(closed_->code, 1008);
  say(Identification{4, "late"});
  EXPECT_TRUE(sent().empty());
}

TEST_F(ServerSessionTest, ping_is_answered_at_once_while_requests_wait) {
  identify();
  say(LaunchInstance{5, {ProgramRef::Kind::kName, "p"}, {}, false, {}});
  say(Ping{6});
  EXPECT_EQ(response(), (Response{6, true, "Pong"}));
  EXPECT_EQ(requests<LaunchInstance>().size(), 1u);
}

TEST_F(ServerSessionTest, a_bad_frame_is_answered_by_its_corr_id_or_closes_with_a_reason) {
  identify();
  session_.on_frame(
      "\x82\xA4type\xA4nope\xA7"
      "corr_id\x09",
      now_);
  EXPECT_EQ(response().corr_id, 9u);
  EXPECT_FALSE(closed_);
  session_.on_frame("\xC1", now_);
  sort();
  ASSERT_TRUE(closed_);
  EXPECT_EQ(closed_->code, 1007);
  EXPECT_FALSE(closed_->reason.empty());
}

TEST_F(ServerSessionTest, text_frames_close) {
  session_.on_text_frame();
  sort();
  ASSERT_TRUE(closed_);
  EXPECT_EQ(closed_->code, 1007);
}

TEST_F(ServerSessionTest, remote_services_are_refused_with_a_reason) {
  identify();
  say(AttachRemoteService{2, "e", "t", "n"});
  EXPECT_FALSE(response().successful);
}

TEST_F(ServerSessionTest, an_upload_becomes_one_request_when_it_is_whole) {
  identify();
  const std::string hash = crypto::blake3_hex("abc");
  say(UploadProgram{2, hash, chunk(0, 2, "ab"), "manifest"});
  EXPECT_TRUE(requests<ProgramUploaded>().empty());
  say(UploadProgram{2, hash, chunk(1, 2, "c"), "manifest"});
  const auto uploads = requests<ProgramUploaded>();
  ASSERT_EQ(uploads.size(), 1u);
  EXPECT_EQ(uploads[0].hash, hash);
  EXPECT_EQ(uploads[0].manifest, "manifest");
  EXPECT_EQ(*(*uploads[0].wasm->finish())->read(0, 10), (Bytes{'a', 'b', 'c'}));
  EXPECT_TRUE(sent().empty());
}

TEST_F(ServerSessionTest, interleaved_uploads_do_not_disturb_each_other) {
  identify();
  const std::string ab = crypto::blake3_hex("ab");
  const std::string cd = crypto::blake3_hex("cd");
  say(UploadBlob{2, "i", ab, chunk(0, 2, "a")});
  say(UploadBlob{3, "i", cd, chunk(0, 2, "c")});
  say(UploadBlob{2, "i", ab, chunk(1, 2, "b")});
  say(UploadBlob{3, "i", cd, chunk(1, 2, "d")});
  EXPECT_EQ(requests<BlobUploaded>().size(), 2u);
}

TEST_F(ServerSessionTest, a_wrong_upload_is_answered_once_at_its_last_chunk) {
  identify();
  const std::string hash(64, 'a');
  say(UploadProgram{2, hash, chunk(0, 3, "x"), {}});
  say(UploadProgram{2, hash, chunk(2, 3, "x"), {}});
  EXPECT_EQ(response(), (Response{2, false, "Out-of-order chunk: expected 1, got 2"}));
  say(UploadProgram{3, hash, chunk(0, 1, "x"), {}});
  EXPECT_EQ(response().result,
            "Hash mismatch: expected " + hash + ", got " + crypto::blake3_hex("x"));
  EXPECT_TRUE(requests<ProgramUploaded>().empty());
}

TEST_F(ServerSessionTest, an_upload_stays_what_its_first_chunk_said) {
  identify();
  const std::string hash = crypto::blake3_hex("ab");
  say(UploadBlob{5, "i", hash, chunk(0, 2, "a")});
  say(UploadProgram{5, hash, chunk(1, 2, "b"), std::nullopt});
  const Response refused = response();
  EXPECT_FALSE(refused.successful);
  EXPECT_NE(refused.result.find("[upload] got chunks of a program and of a blob"),
            std::string::npos);
  say(UploadProgram{6, hash, chunk(0, 2, "a"), std::nullopt});
  say(UploadBlob{6, "i", hash, chunk(1, 2, "b")});
  EXPECT_FALSE(response().successful);
  EXPECT_TRUE(requests<ProgramUploaded>().empty());
  EXPECT_TRUE(requests<BlobUploaded>().empty());
}

TEST_F(ServerSessionTest, a_disk_without_room_is_told_at_the_last_chunk_and_the_session_lives) {
  identify();
  spools_.room = 1;
  const std::string hash = crypto::blake3_hex("abc");
  say(UploadBlob{2, "i", hash, chunk(0, 3, "a")});
  say(UploadBlob{2, "i", hash, chunk(1, 3, "b")});
  EXPECT_TRUE(sent().empty());
  say(UploadBlob{2, "i", hash, chunk(2, 3, "c")});
  EXPECT_EQ(response(), (Response{2, false, "disk full"}));
  say(Ping{3});
  EXPECT_EQ(response().result, "Pong");
}

TEST_F(ServerSessionTest, a_signal_without_corr_id_is_not_answered) {
  identify();
  say(SignalInstance{std::nullopt, "i", "m"});
  EXPECT_EQ(requests<SignalInstance>().size(), 1u);
  session_.complete(std::nullopt);
  EXPECT_TRUE(sent().empty());
}

TEST_F(ServerSessionTest, events_are_delivered_when_the_pong_of_a_later_ping_is_back) {
  identify();
  now_ = kSecond;
  session_.send_event("i", 1, {InstanceEvent{"i", EventCode::kMessage, "a"}}, now_);
  auto first = pings();
  ASSERT_EQ(first.size(), 1u);
  session_.send_event("i", 2, {InstanceEvent{"i", EventCode::kMessage, "b"}}, now_);
  EXPECT_TRUE(pings().empty());  // one under way
  EXPECT_EQ(sent().size(), 2u);
  session_.on_pong("somebody else's", now_);
  sort();
  EXPECT_TRUE(delivered_.empty());
  session_.on_pong(first[0], now_);
  sort();
  ASSERT_EQ(delivered_.size(), 1u);
  EXPECT_EQ(delivered_[0].seq, 1u);  // the second was sent after the ping
  EXPECT_TRUE(pings().empty());      // too soon for the next
  ASSERT_TRUE(session_.wake_at_ns());
  now_ = *session_.wake_at_ns();
  session_.on_tick(now_);
  const auto second = pings();
  ASSERT_EQ(second.size(), 1u);
  session_.on_pong(second[0], now_);
  sort();
  EXPECT_EQ(delivered_.back().seq, 2u);
}

TEST_F(ServerSessionTest, the_end_of_an_instance_asks_for_its_delivery_at_once) {
  identify();
  session_.send_event("i", 1, {InstanceEvent{"i", EventCode::kMessage, "a"}}, now_);
  EXPECT_EQ(pings().size(), 1u);
  session_.send_event("i", 2, {InstanceEvent{"i", EventCode::kCompleted, ""}}, now_);
  EXPECT_TRUE(pings().empty());
  session_.expedite_delivery(now_);
  const auto second = pings();  // though the first is under way
  ASSERT_EQ(second.size(), 1u);
  session_.on_pong(second[0], now_);
  sort();
  ASSERT_FALSE(delivered_.empty());
  EXPECT_EQ(delivered_.back().seq, 2u);
}

TEST_F(ServerSessionTest, pings_every_interval_and_drops_a_peer_silent_for_three) {
  identify();
  session_.on_tick(19 * kSecond);
  EXPECT_TRUE(pings().empty());
  session_.on_tick(20 * kSecond);
  EXPECT_EQ(pings().size(), 1u);
  session_.on_pong("alive", 21 * kSecond);
  session_.on_tick(80 * kSecond);
  EXPECT_FALSE(dropped_);
  session_.on_tick(81 * kSecond);
  sort();
  EXPECT_TRUE(dropped_);
}

class FewRequestsTest : public ServerSessionTest {
 protected:
  FewRequestsTest() : ServerSessionTest({.requests_pending_max = 2, .uploads_max = 2}) {}
};

TEST_F(FewRequestsTest, too_many_unanswered_requests_are_refused_in_the_form_of_their_answers) {
  identify();
  say(ListInstances{2});
  say(ListInstances{3});
  say(LaunchInstance{4, {ProgramRef::Kind::kName, "p"}, {}, false, {}});
  auto refused = sent();
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_FALSE(std::get<InstanceLaunchResult>(refused[0]).successful);
  session_.complete(LiveInstances{2, {}});
  say(ListInstances{5});
  EXPECT_EQ(requests<ListInstances>().size(), 3u);
}

TEST_F(FewRequestsTest, too_many_unfinished_uploads_close) {
  identify();
  for (uint32_t i = 0; i < 3; ++i)
    say(UploadBlob{i + 2, "i", std::string(64, 'a'), chunk(0, 2, "x")});
  sort();
  ASSERT_TRUE(closed_);
  EXPECT_EQ(closed_->code, 1008);
}

}  // namespace
}  // namespace pie::protocol
