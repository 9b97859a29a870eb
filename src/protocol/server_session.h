#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/blob.h"
#include "base/result.h"
#include "crypto/public_key.h"
#include "protocol/chunks.h"
#include "protocol/codec.h"
#include "protocol/delivery.h"
#include "protocol/messages.h"

namespace pie::protocol {

/// Where the bytes of one upload go until it is whole. Destroyed unfinished when the upload fails.
class UploadSpool {
 public:
  virtual ~UploadSpool() = default;
  /// Takes the bytes without waiting for a disk; a failure of earlier ones may be told here.
  virtual Result<void> write(Bytes bytes) = 0;
  /// Bytes taken.
  virtual uint64_t size() const = 0;
  /// The whole. May wait for a disk: not for the session's thread.
  virtual Result<BlobRef> finish() = 0;
};
using UploadSpoolRef = std::shared_ptr<UploadSpool>;
class UploadSpools {
 public:
  virtual ~UploadSpools() = default;
  virtual UploadSpoolRef open(const std::string& user) = 0;
};

struct ServerSessionConfig {
  /// 48 random bytes; null: authentication is disabled, every name is taken.
  std::function<std::string()> make_challenge;
  uint64_t challenge_ns_max = 60'000'000'000;  ///< a challenge that is older is no use
  std::string internal_token;  ///< 64 characters; "" = internal_authenticate always fails
  DecodeLimits decode;
  /// Whether the user may have one more connection that is signed in; the error is the answer.
  /// Null: always.
  std::function<Result<void>(const std::string& user)> admit;
  uint64_t program_bytes_max = 256ULL << 20;
  uint64_t blob_bytes_max = 1ULL << 30;
  uint32_t requests_pending_max = 1'024;  ///< more are refused until answers went out
  uint32_t uploads_max = 32;              ///< unfinished at once; one more closes the connection
  /// A peer that has not signed in so long after it came, or after its last failed attempt was
  /// answered, is closed.
  uint64_t identify_ns_max = 30'000'000'000;
  uint64_t ping_interval_ns = 20'000'000'000;
  uint32_t ping_misses_max = 3;  ///< silent for so many intervals = gone
};

/// A program whose every chunk came and whose hash is right.
struct ProgramUploaded {
  uint32_t corr_id = 0;
  std::string hash;
  std::optional<std::string> manifest;
  UploadSpoolRef wasm;
};
struct BlobUploaded {
  uint32_t corr_id = 0;
  std::string instance_id;
  UploadSpoolRef blob;
};

/// What the session asks of the server; each is answered by one complete().
using SessionRequest =
    std::variant<Query, ProgramUploaded, LaunchInstance, LaunchInstanceFromRegistry,
                 LaunchServerInstance, AttachInstance, SignalInstance, BlobUploaded,
                 TerminateInstance, ListInstances>;

/// What is to be done, in order.
struct SendFrame {
  std::string bytes;
};
/// The answer to a failed attempt to sign in: goes out after a delay of the server's choice, which
/// then calls failure_sent(). Nothing else is taken from this peer before.
struct SendDelayed {
  std::string bytes;
};
struct SendPing {
  std::string payload;
};
struct CloseConnection {
  uint16_t code = 1000;
  std::string reason;
};
/// Asks for the user's keys, which keys_found() gives. Nothing else is taken from this peer before.
struct LookUpKeys {
  std::string user;
};
/// The peer is gone: drop the connection.
struct DropConnection {};
using SessionAction = std::variant<SendFrame, SendDelayed, SendPing, CloseConnection,
                                   DropConnection, LookUpKeys, SessionRequest, Delivered>;

/// One connection's protocol, without socket, clock or threads (protocol.md, sections 1 to 5).
///
/// - kNew: identification leads to kLookingUp, or where nobody has to prove it to kAuthenticated;
///   internal_authenticate to kAuthenticated.
/// - kLookingUp: the keys of a user lead to kChallenged, or with the right signature to
///   kAuthenticated.
/// - kChallenged: a signature leads to kLookingUp.
/// - A failure leads to kRefused, and failure_sent() from there back to kNew.
///
/// Every input appends to the actions that take_actions() hands out. Times are monotonic
/// nanoseconds. Thread: the connection's strand.
class ServerSession {
 public:
  /// `spools` outlives the session.
  ServerSession(ServerSessionConfig config, UploadSpools& spools, uint64_t now_ns);

  void on_frame(std::string_view frame, uint64_t now_ns);
  void on_text_frame();
  void on_pong(std::string_view payload, uint64_t now_ns);
  /// The peer is not silent, though no frame of it is whole.
  void on_heard(uint64_t now_ns) { heard_ns_ = now_ns; }
  /// To be called at least twice per ping interval, and when wake_at_ns() comes.
  void on_tick(uint64_t now_ns);
  /// The answer to LookUpKeys: the user's keys now, none when it is not authorized (protocol.md,
  /// section 5); or why nobody knows.
  void keys_found(const Result<std::vector<crypto::PublicKey>>& keys, uint64_t now_ns);
  /// The delayed answer is out: the peer may try again.
  void failure_sent(uint64_t now_ns);

  /// The answer to a request; null when there is none to give (a signal without corr_id).
  void complete(std::optional<ServerMessage> answer);
  /// The same with the answer's bytes, for one that takes time to encode.
  void complete_encoded(std::string frame);
  /// An event of an attached instance, `seq` of its log. A blob takes many frames.
  void send_event(const std::string& instance_id, uint64_t seq,
                  const std::vector<ServerMessage>& messages, uint64_t now_ns);
  /// The instance ends with this connection's events: its delivery is asked for at once.
  void expedite_delivery(uint64_t now_ns);
  void forget_instance(const std::string& instance_id) { delivery_.forget(instance_id); }

  std::vector<SessionAction> take_actions();
  bool authenticated() const { return state_ == State::kAuthenticated; }
  const std::string& user() const { return user_; }
  /// When on_tick() ought to be called, besides the regular times.
  std::optional<uint64_t> wake_at_ns() const { return delivery_.wake_at_ns(); }

 private:
  enum class State { kNew, kLookingUp, kChallenged, kRefused, kAuthenticated, kClosed };
  enum class UploadKind { kProgram, kBlob };
  struct Upload {
    Upload(UploadKind what, std::string hash, uint64_t bytes_max)
        : kind(what), chunks(std::move(hash), bytes_max) {}
    const UploadKind kind;  ///< the first chunk's; so are its hash and its bound
    ChunkReceiver chunks;
    UploadSpoolRef spool;
  };

  void on_message(ClientMessage message, uint64_t now_ns);
  void on_unidentified(const ClientMessage& message, uint64_t now_ns);
  void identify(const Identification& message);
  void refuse_user(uint32_t corr_id, const std::string& user);
  void check_signature(const Signature& message, uint64_t now_ns);
  void look_up_keys(uint32_t corr_id, std::optional<std::string> signature);
  void fail(uint32_t corr_id, std::string text);
  void check_token(const InternalAuthenticate& message);
  /// `user_` has proved who it is.
  void sign_in(uint32_t corr_id, std::string answer);
  void handle(UploadProgram message);
  void handle(UploadBlob message);
  template <class Request>
  void request(Request message);
  /// The whole upload, when this chunk made it so. Failures are answered here.
  UploadSpoolRef receive_chunk(uint32_t corr_id, const std::string& hash, Chunk chunk,
                               UploadKind kind);
  void accept(uint32_t corr_id, std::string text);
  void refuse(uint32_t corr_id, std::string text);
  void send(const ServerMessage& message);
  void close(uint16_t code, std::string reason);

  const ServerSessionConfig config_;
  UploadSpools& spools_;
  State state_ = State::kNew;
  std::string user_;
  std::string challenge_;
  struct LookUp {
    uint32_t corr_id = 0;
    std::string challenge;                 ///< that is to be signed, where there is
    std::optional<std::string> signature;  ///< ... this; none: to be challenged
  };
  std::optional<LookUp> look_up_;  ///< in kLookingUp
  uint64_t challenged_ns_ = 0;
  std::map<uint32_t, Upload> uploads_;  ///< by corr_id
  uint32_t requests_pending_ = 0;
  Delivery delivery_;
  uint64_t heard_ns_;
  uint64_t pinged_ns_;
  uint64_t unidentified_ns_;  ///< since when the peer may sign in
  std::vector<SessionAction> actions_;
};

}  // namespace pie::protocol
