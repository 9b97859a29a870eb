#include "protocol/server_session.h"

#include <algorithm>
#include <utility>

#include "base/user_name.h"
#include "crypto/base64.h"

namespace pie::protocol {
namespace {

/// Compares without telling by its time where the texts differ.
bool equal_in_constant_time(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0U : 1U;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

/// A refusal in the form that the request's sender waits for.
ServerMessage refusal(const SessionRequest& request, uint32_t corr_id, std::string text) {
  if (std::holds_alternative<LaunchInstance>(request) ||
      std::holds_alternative<LaunchInstanceFromRegistry>(request))
    return InstanceLaunchResult{corr_id, false, std::move(text)};
  if (std::holds_alternative<AttachInstance>(request))
    return InstanceAttachResult{corr_id, false, std::move(text)};
  return Response{corr_id, false, std::move(text)};
}

}  // namespace

ServerSession::ServerSession(ServerSessionConfig config, UploadSpools& spools, uint64_t now_ns)
    : config_(std::move(config)),
      spools_(spools),
      heard_ns_(now_ns),
      pinged_ns_(now_ns),
      unidentified_ns_(now_ns) {}

std::vector<SessionAction> ServerSession::take_actions() { return std::exchange(actions_, {}); }

void ServerSession::send(const ServerMessage& message) {
  actions_.push_back(SendFrame{encode(message)});
}

void ServerSession::accept(uint32_t corr_id, std::string text) {
  send(Response{corr_id, true, std::move(text)});
}

void ServerSession::refuse(uint32_t corr_id, std::string text) {
  send(Response{corr_id, false, std::move(text)});
}

void ServerSession::close(uint16_t code, std::string reason) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  uploads_.clear();
  actions_.push_back(CloseConnection{code, std::move(reason)});
}

void ServerSession::on_frame(std::string_view frame, uint64_t now_ns) {
  if (state_ == State::kClosed) return;
  heard_ns_ = now_ns;
  auto decoded = decode_client_message(frame, config_.decode);
  if (auto* wrong = std::get_if<DecodeError>(&decoded)) {
    if (wrong->corr_id) refuse(*wrong->corr_id, wrong->error.message);
    if (!wrong->corr_id || state_ != State::kAuthenticated)
      close(wrong->close_code, wrong->error.message);
    return;
  }
  on_message(std::get<ClientMessage>(std::move(decoded)), now_ns);
}

void ServerSession::on_text_frame() {
  close(1007, "[frame] got text, expected a binary frame with one MessagePack map");
}

void ServerSession::on_message(ClientMessage message, uint64_t now_ns) {
  if (state_ != State::kAuthenticated) return on_unidentified(message, now_ns);
  std::visit(
      [this](auto one) {
        using Message = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<Message, Identification> ||
                      std::is_same_v<Message, Signature> ||
                      std::is_same_v<Message, InternalAuthenticate>) {
          accept(one.corr_id, "Already authenticated");
        } else if constexpr (std::is_same_v<Message, Ping>) {
          accept(one.corr_id, "Pong");
        } else if constexpr (std::is_same_v<Message, AttachRemoteService>) {
          refuse(one.corr_id,
                 "[attach_remote_service] got a request, expected none: this server runs its "
                 "models itself and attaches no remote services");
        } else if constexpr (std::is_same_v<Message, UploadProgram> ||
                             std::is_same_v<Message, UploadBlob>) {
          handle(std::move(one));
        } else {
          request(std::move(one));
        }
      },
      std::move(message));
}

void ServerSession::on_unidentified(const ClientMessage& message, uint64_t now_ns) {
  std::string expected = "identification or internal_authenticate";
  if (state_ == State::kNew) {
    if (const auto* user = std::get_if<Identification>(&message)) return identify(*user);
    if (const auto* token = std::get_if<InternalAuthenticate>(&message)) return check_token(*token);
  } else if (state_ == State::kChallenged) {
    if (const auto* proof = std::get_if<Signature>(&message))
      return check_signature(*proof, now_ns);
    expected = "signature, the answer to the challenge";
  } else {
    expected = "nothing before the answer to the last message";
  }
  const std::string text =
      std::string(state_ == State::kNew ? "[first message]" : "[authentication]") + " got " +
      std::string(type_of(message)) + ", expected " + expected;
  if (const auto corr_id = corr_id_of(message)) refuse(*corr_id, text);
  close(1008, text);
}

void ServerSession::fail(uint32_t corr_id, std::string text) {
  state_ = State::kRefused;
  challenge_.clear();
  actions_.push_back(SendDelayed{encode(Response{corr_id, false, std::move(text)})});
}

void ServerSession::failure_sent(uint64_t now_ns) {
  if (state_ != State::kRefused) return;
  state_ = State::kNew;
  unidentified_ns_ = now_ns;
}

void ServerSession::identify(const Identification& message) {
  if (!is_user_name(message.username)) return refuse_user(message.corr_id, message.username);
  user_ = message.username;
  if (!config_.make_challenge)
    return sign_in(message.corr_id, "Authenticated (Engine disabled authentication)");
  look_up_keys(message.corr_id, std::nullopt);
}

void ServerSession::refuse_user(uint32_t corr_id, const std::string& user) {
  fail(corr_id, "User '" + user + "' is not authorized");
}

void ServerSession::look_up_keys(uint32_t corr_id, std::optional<std::string> signature) {
  state_ = State::kLookingUp;
  look_up_ = LookUp{corr_id, std::exchange(challenge_, {}), std::move(signature)};
  actions_.push_back(LookUpKeys{user_});
}

void ServerSession::keys_found(const Result<std::vector<crypto::PublicKey>>& keys,
                               uint64_t now_ns) {
  if (state_ != State::kLookingUp) return;
  const LookUp asked = *std::exchange(look_up_, std::nullopt);
  if (!keys.ok()) return fail(asked.corr_id, keys.error().message);
  if (asked.signature) {
    const bool is_proven = std::any_of(keys->begin(), keys->end(), [&](const auto& key) {
      return key.verify(asked.challenge, *asked.signature);
    });
    if (!is_proven) return fail(asked.corr_id, "Signature verification failed");
    return sign_in(asked.corr_id, "Authenticated");
  }
  if (keys->empty()) return refuse_user(asked.corr_id, user_);
  challenge_ = config_.make_challenge();
  challenged_ns_ = now_ns;
  state_ = State::kChallenged;
  accept(asked.corr_id, crypto::base64_encode(challenge_));
}

void ServerSession::check_signature(const Signature& message, uint64_t now_ns) {
  auto signature = crypto::base64_decode(message.signature);
  if (!signature.ok())
    return fail(message.corr_id, "Invalid signature encoding: " + signature.error().message);
  if (now_ns >= challenged_ns_ + config_.challenge_ns_max)
    return fail(message.corr_id, "Signature verification failed");
  // Asked for again: a key that was taken away meanwhile is worth nothing.
  look_up_keys(message.corr_id, std::move(signature).value());
}

void ServerSession::check_token(const InternalAuthenticate& message) {
  if (config_.internal_token.empty() ||
      !equal_in_constant_time(message.token, config_.internal_token))
    return fail(message.corr_id, "Invalid token");
  user_ = kInternalUser;
  sign_in(message.corr_id, "Authenticated");
}

void ServerSession::sign_in(uint32_t corr_id, std::string answer) {
  if (config_.admit) {
    if (const auto admitted = config_.admit(user_); !admitted.ok()) {
      state_ = State::kNew;  // within the time that it has to sign in
      return refuse(corr_id, admitted.error().message);
    }
  }
  state_ = State::kAuthenticated;
  accept(corr_id, std::move(answer));
}

template <class Request>
void ServerSession::request(Request message) {
  uint32_t corr_id = 0;
  bool answerable = true;
  if constexpr (std::is_same_v<Request, SignalInstance>) {
    answerable = message.corr_id.has_value();
    corr_id = message.corr_id.value_or(0);
  } else {
    corr_id = message.corr_id;
  }
  SessionRequest what(std::move(message));
  if (requests_pending_ >= config_.requests_pending_max) {
    const std::string text =
        "[requests] got more than " + std::to_string(config_.requests_pending_max) +
        " unanswered ones on this connection, expected fewer; wait for answers";
    if (answerable) return send(refusal(what, corr_id, text));
    return close(1008, text);
  }
  ++requests_pending_;
  actions_.push_back(std::move(what));
}

UploadSpoolRef ServerSession::receive_chunk(uint32_t corr_id, const std::string& hash, Chunk chunk,
                                            UploadKind kind) {
  auto found = uploads_.find(corr_id);
  if (found != uploads_.end() && found->second.chunks.hash() != hash) {
    uploads_.erase(found);  // given up half-way, its number used again
    found = uploads_.end();
  }
  if (found == uploads_.end()) {
    if (uploads_.size() >= config_.uploads_max) {
      close(1008, "[uploads] got more than " + std::to_string(config_.uploads_max) +
                      " unfinished ones, expected fewer; send the last chunks first");
      return nullptr;
    }
    const uint64_t bytes_max =
        kind == UploadKind::kProgram ? config_.program_bytes_max : config_.blob_bytes_max;
    found = uploads_.try_emplace(corr_id, kind, hash, bytes_max).first;
    found->second.spool = spools_.open(user_);
  }
  Upload& upload = found->second;
  if (upload.kind != kind)
    upload.chunks.fail({ErrorCode::kInvalidArgument,
                        "[upload] got chunks of a program and of a blob under one corr_id, "
                        "expected one kind; use a number of its own for each upload"});
  ChunkReceiver::Step step = upload.chunks.accept(chunk);
  if (step == ChunkReceiver::Step::kStore || step == ChunkReceiver::Step::kComplete) {
    if (auto stored = upload.spool->write(std::move(chunk.data)); !stored.ok()) {
      upload.chunks.fail(std::move(stored).error());
      step = step == ChunkReceiver::Step::kComplete ? ChunkReceiver::Step::kFailed
                                                    : ChunkReceiver::Step::kDiscard;
    }
  }
  switch (step) {
    case ChunkReceiver::Step::kStore: return nullptr;
    case ChunkReceiver::Step::kDiscard: upload.spool.reset(); return nullptr;
    case ChunkReceiver::Step::kFailed:
      refuse(corr_id, upload.chunks.error().message);
      uploads_.erase(found);
      return nullptr;
    case ChunkReceiver::Step::kComplete: break;
  }
  UploadSpoolRef whole = std::move(upload.spool);
  uploads_.erase(found);
  return whole;
}

void ServerSession::handle(UploadProgram message) {
  auto wasm = receive_chunk(message.corr_id, message.program_hash, std::move(message.chunk),
                            UploadKind::kProgram);
  if (wasm)
    request(ProgramUploaded{message.corr_id, std::move(message.program_hash),
                            std::move(message.manifest), std::move(wasm)});
}

void ServerSession::handle(UploadBlob message) {
  auto blob = receive_chunk(message.corr_id, message.blob_hash, std::move(message.chunk),
                            UploadKind::kBlob);
  if (blob) request(BlobUploaded{message.corr_id, std::move(message.instance_id), std::move(blob)});
}

void ServerSession::complete(std::optional<ServerMessage> answer) {
  if (requests_pending_ > 0) --requests_pending_;
  if (answer && state_ != State::kClosed) send(*answer);
}

void ServerSession::complete_encoded(std::string frame) {
  if (requests_pending_ > 0) --requests_pending_;
  if (state_ != State::kClosed) actions_.push_back(SendFrame{std::move(frame)});
}

void ServerSession::send_event(const std::string& instance_id, uint64_t seq,
                               const std::vector<ServerMessage>& messages, uint64_t now_ns) {
  if (state_ == State::kClosed) return;
  uint64_t bytes = 0;
  for (const auto& message : messages) {
    auto frame = encode(message);
    bytes += frame.size();
    actions_.push_back(SendFrame{std::move(frame)});
  }
  delivery_.sent(instance_id, seq, bytes);
  if (auto ping = delivery_.ping(now_ns)) actions_.push_back(SendPing{std::move(*ping)});
}

void ServerSession::expedite_delivery(uint64_t now_ns) {
  if (state_ == State::kClosed) return;
  delivery_.expedite();
  if (auto ping = delivery_.ping(now_ns)) actions_.push_back(SendPing{std::move(*ping)});
}

void ServerSession::on_pong(std::string_view payload, uint64_t now_ns) {
  heard_ns_ = now_ns;
  for (auto& one : delivery_.pong(payload)) actions_.push_back(std::move(one));
  if (state_ == State::kClosed) return;
  if (auto ping = delivery_.ping(now_ns)) actions_.push_back(SendPing{std::move(*ping)});
}

void ServerSession::on_tick(uint64_t now_ns) {
  if (state_ == State::kClosed) return;
  if (now_ns >= heard_ns_ + config_.ping_interval_ns * config_.ping_misses_max) {
    state_ = State::kClosed;
    actions_.push_back(DropConnection{});
    return;
  }
  const bool may_sign_in = state_ == State::kNew || state_ == State::kChallenged;
  if (may_sign_in && now_ns >= unidentified_ns_ + config_.identify_ns_max) {
    return close(1008, "[authentication] got no proof within " +
                           std::to_string(config_.identify_ns_max / 1'000'000'000) +
                           " s, expected identification or internal_authenticate");
  }
  if (auto ping = delivery_.ping(now_ns)) actions_.push_back(SendPing{std::move(*ping)});
  if (now_ns >= pinged_ns_ + config_.ping_interval_ns) {
    pinged_ns_ = now_ns;
    actions_.push_back(SendPing{"alive"});
  }
}

}  // namespace pie::protocol
