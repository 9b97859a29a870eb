#include "server/session.h"

#include <openssl/rand.h>

#include <random>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/user_name.h"

namespace pie::server {
namespace {

constexpr uint64_t kTickMs = 500;
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kOutboxFreeBytes = 1ULL << 20;  ///< not charged to the user
constexpr int kChallengeBytes = 48;

uint64_t random_delay_ms() {
  std::random_device device;
  return std::uniform_int_distribution<uint64_t>(1'000, 3'000)(device);
}

std::string make_challenge() {
  unsigned char bytes[kChallengeBytes];
  PIE_CHECK(RAND_bytes(bytes, sizeof bytes) == 1);
  return {reinterpret_cast<const char*>(bytes), sizeof bytes};
}

protocol::ServerSessionConfig session_config(const SessionServices& services) {
  protocol::ServerSessionConfig config;
  if (services.users) config.make_challenge = make_challenge;
  config.internal_token = services.internal_token;
  config.decode.frame_bytes_max = services.limits.frame_bytes_max;
  config.program_bytes_max = services.limits.program_bytes_max;
  config.blob_bytes_max = services.limits.blob_bytes_max;
  config.requests_pending_max = services.limits.requests_pending_max;
  config.uploads_max = services.limits.uploads_pending_max;
  config.identify_ns_max = services.limits.identify_s * kSecondNs;
  config.ping_interval_ns = services.limits.ping_interval_s * kSecondNs;
  return config;
}

}  // namespace

Session::Session(const SessionServices& services)
    : services_(services),
      uploads_(services.spools),
      session_(
          [&] {
            auto config = session_config(services);
            config.admit = [this](const std::string& user) { return admit(user); };
            return config;
          }(),
          uploads_, services.clock.now_ns()) {}

Result<void> Session::admit(const std::string& user) {
  if (user == kInternalUser) return {};
  place_ = services_.connections.enter(user);
  if (place_) return {};
  const std::string max = std::to_string(services_.connections.max());
  return Error{ErrorCode::kResourceExhausted,
               "[connections] got one more of user '" + user + "', expected at most " + max +
                   " at once; close some, or raise limits.user_connections_max of the server"};
}

void Session::on_open(std::shared_ptr<net::WsConnection> connection) {
  connection_ = std::move(connection);
  tick();
}

void Session::tick() {
  session_.on_tick(services_.clock.now_ns());
  apply();
  connection_->post_after(kTickMs, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->tick();
  });
}

void Session::on_message(std::string_view frame) {
  events_.heard();
  requests_.begin(frame.size());
  session_.on_frame(frame, services_.clock.now_ns());
  apply();
  const bool waits = uploads_.backlog().wait([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->post([self] { self->connection_->resume(); });
  });
  if (waits) connection_->pause();
}

void Session::on_text() {
  session_.on_text_frame();
  apply();
}

void Session::on_pong(std::string_view payload) {
  events_.heard();
  session_.on_pong(payload, services_.clock.now_ns());
  apply();
}

void Session::on_heard() { session_.on_heard(services_.clock.now_ns()); }

void Session::on_drained() {
  events_.drained();
  charge_outbox();
  events_.pump();
}

// A Close frame proves nothing of what was sent before it: what no pong has confirmed stays.
void Session::on_closed(Closing) {
  requests_.close();
  events_.close();
  place_ = nullptr;
}

void Session::charge_outbox() {
  const uint64_t bytes = connection_->outbox_bytes();
  const uint64_t due = bytes > kOutboxFreeBytes ? bytes - kOutboxFreeBytes : 0;
  if (due < outbox_.amount()) outbox_.give_back(outbox_.amount() - due);
  if (due == outbox_.amount() || outbox_.take(due - outbox_.amount())) return;
  log::warning("a user's clients do not read their answers: one is closed");
  connection_->abort();
}

void Session::apply() {
  // Before an answer is added, so that a single one may be of any size.
  if (connection_->outbox_bytes() > services_.limits.outbox_bytes_max + events_.outbox_bytes()) {
    log::warning("a client does not read its answers: closed");
    return connection_->abort();
  }
  for (;;) {
    auto actions = session_.take_actions();
    if (actions.empty()) break;
    for (auto& action : actions) perform(std::move(action));
  }
  if (session_.authenticated() && !is_known_) {
    is_known_ = true;
    connection_->set_known(session_.user() == kInternalUser ? "" : session_.user());
    outbox_ = Holding(part_of(services_.ledger.of(session_.user()), &UserQuotas::host_memory));
  }
  charge_outbox();
  const auto wake_at_ns = session_.wake_at_ns();
  if (!wake_at_ns || wake_posted_) return;
  wake_posted_ = true;
  const uint64_t now_ns = services_.clock.now_ns();
  const uint64_t wait_ms = *wake_at_ns > now_ns ? (*wake_at_ns - now_ns) / 1'000'000 + 1 : 1;
  connection_->post_after(wait_ms, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->wake_posted_ = false;
    self->session_.on_tick(self->services_.clock.now_ns());
    self->apply();
  });
}

void Session::perform(protocol::SessionAction action) {
  if (auto* frame = std::get_if<protocol::SendFrame>(&action)) {
    connection_->send(std::move(frame->bytes));
  } else if (auto* ping = std::get_if<protocol::SendPing>(&action)) {
    connection_->ping(std::move(ping->payload));
  } else if (auto* late = std::get_if<protocol::SendDelayed>(&action)) {
    send_late(std::move(*late));
  } else if (auto* close = std::get_if<protocol::CloseConnection>(&action)) {
    connection_->close(close->code, std::move(close->reason));
  } else if (std::holds_alternative<protocol::DropConnection>(action)) {
    connection_->abort();
  } else if (auto* look_up = std::get_if<protocol::LookUpKeys>(&action)) {
    look_up_keys(look_up->user);
  } else if (auto* delivered = std::get_if<protocol::Delivered>(&action)) {
    events_.delivered(*delivered);
  } else {
    requests_.handle(std::get<protocol::SessionRequest>(std::move(action)));
  }
}

void Session::send_late(protocol::SendDelayed answer) {
  const uint64_t delay_ms = services_.failures.delay_ms(
      connection_->peer_address(), services_.clock.now_ns() / 1'000'000, random_delay_ms());
  connection_->post_after(delay_ms, [weak = weak_from_this(), bytes = std::move(answer.bytes)] {
    const auto self = weak.lock();
    if (!self) return;
    self->connection_->send(bytes);
    self->session_.failure_sent(self->services_.clock.now_ns());
  });
}

void Session::look_up_keys(const std::string& user) {
  services_.users->keys_of(user, [self = shared_from_this()](auto keys) {
    self->connection_->post([self, keys = std::move(keys)] {
      self->session_.keys_found(keys, self->services_.clock.now_ns());
      self->apply();
    });
  });
}

void Session::complete(std::optional<protocol::ServerMessage> answer) {
  session_.complete(std::move(answer));
  apply();
}

void Session::post(std::function<void()> task) {
  connection_->post([self = shared_from_this(), task = std::move(task)] { task(); });
}

void Session::complete_later(protocol::ServerMessage answer) {
  connection_->post([self = shared_from_this(), answer = std::move(answer)]() mutable {
    self->complete(std::move(answer));
  });
}

}  // namespace pie::server
