#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "crypto/base64.h"
#include "crypto/private_key.h"
#include "protocol/server_session.h"

namespace pie::protocol {
namespace {

/// Made by `openssl genpkey -algorithm ed25519` for this test alone.
constexpr const char* kSecret =
    "-----BEGIN PRIVATE "
    "KEY-----\nMC4CAQAwBQYDK2VwBCIEIFtLqlUoHSNAN+Jk3MU6vQgbS0ve/bnybsXWFXdI6UL2\n"
    "-----END PRIVATE KEY-----\n";
constexpr const char* kOther =
    "-----BEGIN PRIVATE "
    "KEY-----\nMC4CAQAwBQYDK2VwBCIEIDMOVDWbNqQAbsxt8NQvm2u8G/AlwkuvzSI4eRQe+pCo\n"
    "-----END PRIVATE KEY-----\n";
constexpr const char* kOpen =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMunwrJ1I4yc51LKeJBRhMAcg5CjzSG2wOQFgKIWtgv2 ann";
constexpr uint64_t kSecond = 1'000'000'000;

class NoSpools final : public UploadSpools {
  UploadSpoolRef open(const std::string&) override { return nullptr; }
};

/// Signs in as a client does.
class AuthenticationTest : public testing::Test {
 protected:
  AuthenticationTest()
      : session_({.make_challenge = [this] { return std::string(47, '\x7F') + char(++made_); },
                  .internal_token = std::string(64, 't')},
                 spools_, 0) {}

  Result<std::vector<crypto::PublicKey>> keys_of(const std::string& user) const {
    if (is_disk_lost_) return Error{ErrorCode::kInternal, "[users] got: no disk"};
    if (user != "ann" || is_removed_) return std::vector<crypto::PublicKey>();
    return std::vector{*crypto::PublicKey::parse(kOpen)};
  }

  /// The answer; `late_` says whether it was delayed.
  Response say(const ClientMessage& message) {
    session_.on_frame(encode(message), now_);
    Response answer;
    late_ = closed_ = false;
    auto actions = session_.take_actions();
    for (size_t i = 0; i < actions.size(); ++i) {
      const auto action = actions[i];
      if (const auto* look_up = std::get_if<LookUpKeys>(&action)) {
        session_.keys_found(keys_of(look_up->user), now_);
        for (auto& more : session_.take_actions()) actions.push_back(std::move(more));
      }
      const auto* now = std::get_if<SendFrame>(&action);
      const auto* late = std::get_if<SendDelayed>(&action);
      if (late) session_.failure_sent(now_);
      late_ = late_ || late;
      closed_ = closed_ || std::holds_alternative<CloseConnection>(action);
      if (now || late)
        answer = std::get<Response>(
            std::get<ServerMessage>(decode_server_message(now ? now->bytes : late->bytes)));
    }
    return answer;
  }
  /// Asks for a challenge and signs it.
  std::string proof(const char* secret, const char* user = "ann") {
    const Response challenge = say(Identification{1, user});
    EXPECT_TRUE(challenge.successful) << challenge.result;
    last_challenge_ = *crypto::base64_decode(challenge.result);
    EXPECT_EQ(last_challenge_.size(), 48u);
    return crypto::base64_encode(*crypto::PrivateKey::parse(secret)->sign(last_challenge_));
  }

  uint64_t now_ = 0;
  bool is_removed_ = false, is_disk_lost_ = false;
  int made_ = 0;
  NoSpools spools_;
  ServerSession session_;
  std::string last_challenge_;
  bool late_ = false;
  bool closed_ = false;
};

TEST_F(AuthenticationTest, the_right_key_signs_in) {
  EXPECT_EQ(say(Signature{2, proof(kSecret)}), (Response{2, true, "Authenticated"}));
  EXPECT_EQ(session_.user(), "ann");
  EXPECT_EQ(say(Identification{3, "bob"}), (Response{3, true, "Already authenticated"}));
  EXPECT_EQ(session_.user(), "ann");
}

TEST_F(AuthenticationTest, a_wrong_key_fails_late_and_may_try_again) {
  EXPECT_EQ(say(Signature{2, proof(kOther)}),
            (Response{2, false, "Signature verification failed"}));
  EXPECT_TRUE(late_);
  EXPECT_FALSE(session_.authenticated());
  EXPECT_TRUE(say(Signature{3, proof(kSecret)}).successful);
}

TEST_F(AuthenticationTest, an_unknown_user_and_internal_fail_late) {
  EXPECT_EQ(say(Identification{1, "bob"}), (Response{1, false, "User 'bob' is not authorized"}));
  EXPECT_TRUE(late_);
  EXPECT_EQ(say(Identification{1, "internal"}),
            (Response{1, false, "User 'internal' is not authorized"}));
}

TEST_F(AuthenticationTest, a_challenge_serves_once_and_expires) {
  const std::string first = proof(kSecret);
  EXPECT_FALSE(say(Signature{2, "!!"}).successful);
  EXPECT_EQ(say(Signature{3, first}).successful, false);
  EXPECT_TRUE(closed_);  // no challenge is open: the message comes out of turn
}

TEST_F(AuthenticationTest, an_old_signature_does_not_fit_a_new_challenge) {
  const std::string first = proof(kSecret);
  EXPECT_FALSE(say(Signature{2, "!!"}).successful);
  proof(kSecret);
  EXPECT_EQ(say(Signature{3, first}), (Response{3, false, "Signature verification failed"}));
}

TEST_F(AuthenticationTest, a_late_signature_fails) {
  const std::string signature = proof(kSecret);
  now_ = 61 * kSecond;
  EXPECT_EQ(say(Signature{2, signature}), (Response{2, false, "Signature verification failed"}));
}

TEST_F(AuthenticationTest, a_key_that_was_taken_away_meanwhile_fails) {
  const std::string signature = proof(kSecret);
  is_removed_ = true;
  EXPECT_FALSE(say(Signature{2, signature}).successful);
}

TEST_F(AuthenticationTest, who_cannot_be_looked_up_hears_why_and_may_try_again) {
  is_disk_lost_ = true;
  EXPECT_EQ(say(Identification{1, "ann"}), (Response{1, false, "[users] got: no disk"}));
  EXPECT_TRUE(late_);
  is_disk_lost_ = false;
  EXPECT_TRUE(say(Signature{2, proof(kSecret)}).successful);
}

TEST_F(AuthenticationTest, a_message_before_the_keys_are_found_closes) {
  session_.on_frame(encode(Identification{1, "ann"}), now_);
  EXPECT_FALSE(say(Signature{2, "AAAA"}).successful);
  EXPECT_TRUE(closed_);
}

TEST_F(AuthenticationTest, text_that_is_not_base64_says_so) {
  proof(kSecret);
  EXPECT_TRUE(say(Signature{2, "!!"}).result.starts_with("Invalid signature encoding: "));
}

TEST_F(AuthenticationTest, anything_else_before_the_proof_closes) {
  proof(kSecret);
  EXPECT_FALSE(say(Ping{9}).successful);
  EXPECT_TRUE(closed_);
  EXPECT_FALSE(session_.authenticated());
}

}  // namespace
}  // namespace pie::protocol
