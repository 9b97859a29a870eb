#include "protocol/server_session.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "crypto/blake3.h"
#include "fuzz.h"

namespace {

using namespace pie;
using namespace pie::protocol;
constexpr uint32_t kPendingMax = 8;
constexpr uint32_t kUploadsMax = 4;
constexpr uint64_t kBytesMax = 4096;

class Spool final : public UploadSpool {
 public:
  Spool(int& open, bool is_full) : open_(open), is_full_(is_full) { ++open_; }
  ~Spool() override { --open_; }
  Result<void> write(Bytes bytes) override {
    if (is_full_) return Error{ErrorCode::kResourceExhausted, "disk full"};
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    MUST(bytes_.size() <= kBytesMax);
    return {};
  }
  uint64_t size() const override { return bytes_.size(); }
  Result<BlobRef> finish() override { return make_memory_blob(std::move(bytes_)); }

 private:
  int& open_;
  const bool is_full_;
  Bytes bytes_;
};

class Spools final : public UploadSpools {
 public:
  UploadSpoolRef open(const std::string&) override {
    return std::make_shared<Spool>(open_now, ++opened_ % 16 == 0);
  }
  int open_now = 0;

 private:
  int opened_ = 0;
};

Result<std::vector<crypto::PublicKey>> keys_of(const std::string& user) {
  static const auto key = crypto::PublicKey::parse(
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl x");
  MUST(key.ok());
  if (user == "lost") return Error{ErrorCode::kInternal, "[users] got: no disk"};
  return user == "known" ? std::vector{*key} : std::vector<crypto::PublicKey>{};
}

/// A message made of the input's bytes.
ClientMessage message_of(fuzz::Source& source) {
  const uint32_t corr_id = source.byte() % 8;
  const std::string text(source.text());
  switch (source.byte() % 11) {
    case 0: return Identification{corr_id, text.empty() ? "known" : text};
    case 1: return Signature{corr_id, text};
    case 2: return InternalAuthenticate{corr_id, text.empty() ? std::string(64, 't') : text};
    case 3: return Query{corr_id, text, text};
    case 4:
    case 5: {
      Chunk chunk{source.byte() % 4U, source.byte() % 4U, {}};
      chunk.data.assign(text.begin(), text.end());
      const std::string hash = source.byte() % 2 ? crypto::blake3_hex(text) : text;
      if (source.byte() % 2) return UploadProgram{corr_id, hash, chunk, {}};
      return UploadBlob{corr_id, text, hash, chunk};
    }
    case 6: return LaunchInstance{corr_id, {ProgramRef::Kind::kName, text}, {text}, false, {}};
    case 7: return AttachInstance{corr_id, text};
    case 8: return SignalInstance{corr_id % 2 ? std::optional(corr_id) : std::nullopt, text, text};
    case 9: return ListInstances{corr_id};
    default: return Ping{corr_id};
  }
}

/// Drives a session and holds what it wants done to the rules.
class Driver {
 public:
  explicit Driver(bool asks_for_proof)
      : session_({.make_challenge = asks_for_proof ? [] { return std::string(48, 'c'); }
                                                   : std::function<std::string()>(),
                  .internal_token = std::string(64, 't'),
                  .program_bytes_max = kBytesMax,
                  .blob_bytes_max = kBytesMax,
                  .requests_pending_max = kPendingMax,
                  .uploads_max = kUploadsMax},
                 spools_, 0) {}

  void step(fuzz::Source& source) {
    switch (source.byte() % 9) {
      case 0: session_.on_frame(source.text(), now_); break;
      case 1: session_.on_pong(last_ping_.empty() ? source.text() : last_ping_, now_); break;
      case 2: now_ += uint64_t{source.byte()} * 1'000'000'000; break;
      case 3: session_.on_tick(now_); break;
      case 4: complete(source); break;
      case 5: event(source); break;
      case 6: session_.failure_sent(now_); break;
      case 7: found(); break;
      default: session_.on_frame(encode(message_of(source)), now_);
    }
    look();
  }

 private:
  void complete(fuzz::Source& source) {
    if (pending_ == 0) return;
    --pending_;
    session_.complete(Response{source.byte(), true, "done"});
  }
  void event(fuzz::Source& source) {
    const std::string id(1, static_cast<char>('a' + source.byte() % 4));
    session_.send_event(id, ++seq_, {InstanceEvent{id, EventCode::kMessage, "x"}}, now_);
    if (source.byte() % 2) session_.expedite_delivery(now_);
    if (source.byte() % 4 == 0) session_.forget_instance(id);
  }
  void found() {
    if (const auto user = std::exchange(asked_, std::nullopt))
      session_.keys_found(keys_of(*user), now_);
  }
  void look() {
    for (const auto& action : session_.take_actions()) {
      MUST(!closed_ || std::holds_alternative<Delivered>(action));
      if (std::holds_alternative<CloseConnection>(action) ||
          std::holds_alternative<DropConnection>(action)) {
        closed_ = true;
      } else if (const auto* ping = std::get_if<SendPing>(&action)) {
        last_ping_ = ping->payload;
        MUST(last_ping_.size() <= 125);
      } else if (const auto* delivered = std::get_if<Delivered>(&action)) {
        MUST(delivered->seq <= seq_);
      } else if (const auto* look_up = std::get_if<LookUpKeys>(&action)) {
        MUST(!session_.authenticated() && !asked_);
        asked_ = look_up->user;
      } else if (std::holds_alternative<SessionRequest>(action)) {
        MUST(session_.authenticated());
        ++pending_;
      }
    }
    MUST(pending_ <= kPendingMax);
    MUST(spools_.open_now <= static_cast<int>(kUploadsMax));
    MUST(!session_.authenticated() || !session_.user().empty());
  }

  Spools spools_;
  ServerSession session_;
  uint64_t now_ = 0;
  uint64_t seq_ = 0;
  uint32_t pending_ = 0;
  bool closed_ = false;
  std::string last_ping_;
  std::optional<std::string> asked_;  ///< whose keys
};

}  // namespace

/// Sequences of frames, pongs, ticks, answers and events.
void pie::fuzz::fuzz(std::string_view input) {
  Source source(input);
  Driver driver(source.byte() % 2 != 0);
  for (int i = 0; i < 1'000 && !source.empty(); ++i) driver.step(source);
}
