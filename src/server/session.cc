#include "server/session.h"

#include <openssl/rand.h>

#include <algorithm>
#include <random>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/user_name.h"
#include "server/event_messages.h"

namespace pie::server {
namespace {

constexpr uint64_t kTickMs = 500;
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kProbeMs = 2'000;
constexpr uint64_t kEventsOutboxBytesMax = 1ULL << 20;  ///< above it events wait in their logs
constexpr int kEventsPerTurn = 16;
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
  heard();
  request_bytes_ = frame.size();
  session_.on_frame(frame, services_.clock.now_ns());
  apply();
  const bool waits = uploads_.backlog().wait([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self) self->connection_->post([self] { self->connection_->resume(); });
  });
  if (waits) connection_->pause();
}

void Session::on_text() {
  session_.on_text_frame();
  apply();
}

void Session::on_pong(std::string_view payload) {
  heard();
  session_.on_pong(payload, services_.clock.now_ns());
  apply();
}

void Session::on_heard() { session_.on_heard(services_.clock.now_ns()); }

void Session::on_drained() {
  event_bytes_ = 0;
  charge_outbox();
  pump();
}

// A Close frame proves nothing of what was sent before it: what no pong has confirmed stays.
void Session::on_closed(Closing) {
  std::map<std::string, InstanceRef> held;
  std::map<uint64_t, std::function<void(Peer)>> probes;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    held.swap(held_);
    probes.swap(probes_);
    for (auto& [id, ticket] : compiling_) ticket.cancel();
  }
  for (const auto& [id, instance] : held) instance->client_lost(this);
  for (const auto& [id, done] : probes) done(Peer::kSilent);
  attachments_.clear();
  active_.clear();
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
  if (connection_->outbox_bytes() > services_.limits.outbox_bytes_max + event_bytes_) {
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
    const uint64_t delay_ms = services_.failures.delay_ms(
        connection_->peer_address(), services_.clock.now_ns() / 1'000'000, random_delay_ms());
    connection_->post_after(delay_ms, [weak = weak_from_this(), bytes = std::move(late->bytes)] {
      const auto self = weak.lock();
      if (!self) return;
      self->connection_->send(bytes);
      self->session_.failure_sent(self->services_.clock.now_ns());
    });
  } else if (auto* close = std::get_if<protocol::CloseConnection>(&action)) {
    connection_->close(close->code, std::move(close->reason));
  } else if (std::holds_alternative<protocol::DropConnection>(action)) {
    connection_->abort();
  } else if (auto* look_up = std::get_if<protocol::LookUpKeys>(&action)) {
    look_up_keys(look_up->user);
  } else if (auto* delivered = std::get_if<protocol::Delivered>(&action)) {
    handle(std::move(*delivered));
  } else {
    std::visit([this](auto request) { handle(std::move(request)); },
               std::get<protocol::SessionRequest>(std::move(action)));
  }
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

std::function<void(std::string)> Session::refuser(uint32_t corr_id) {
  return [self = shared_from_this(), corr_id](std::string reason) {
    self->complete_later(protocol::Response{corr_id, false, std::move(reason)});
  };
}

void Session::complete_later(protocol::ServerMessage answer) {
  connection_->post([self = shared_from_this(), answer = std::move(answer)]() mutable {
    self->complete(std::move(answer));
  });
}

void Session::heard() {
  std::map<uint64_t, std::function<void(Peer)>> probes;
  {
    const std::lock_guard lock(mutex_);
    probes.swap(probes_);
  }
  for (const auto& [id, done] : probes) done(Peer::kAnswers);
}

void Session::probe(std::function<void(Peer)> done) {
  uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      id = next_probe_++;
      probes_.emplace(id, done);
    }
  }
  if (id == 0) return done(Peer::kSilent);
  connection_->post([self = shared_from_this(), id] {
    self->connection_->ping("probe");
    self->connection_->post_after(kProbeMs, [self, id] {
      std::function<void(Peer)> unanswered;
      {
        const std::lock_guard lock(self->mutex_);
        const auto found = self->probes_.find(id);
        if (found == self->probes_.end()) return;
        unanswered = std::move(found->second);
        self->probes_.erase(found);
      }
      unanswered(Peer::kSilent);
      self->connection_->abort();
    });
  });
}

void Session::taken_over(const std::string& instance_id) {
  {
    const std::lock_guard lock(mutex_);
    held_.erase(instance_id);
  }
  connection_->post([self = shared_from_this(), instance_id] {
    self->attachments_.erase(instance_id);
    self->session_.forget_instance(instance_id);
  });
}

bool Session::hold(const InstanceRef& instance) {
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      held_[instance->id()] = instance;
      return true;
    }
  }
  instance->client_lost(this);
  return false;
}

void Session::follow(const InstanceRef& instance) {
  attachments_[instance->id()] = {instance, instance->log().delivered_seq()};
  events_ready(instance);
}

void Session::events_ready(const InstanceRef& instance) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    ready_.insert(instance->id());
    if (pump_posted_) return;
    pump_posted_ = true;
  }
  connection_->post([self = shared_from_this()] { self->pump(); });
}

void Session::pump() {
  std::set<std::string> ready;
  {
    const std::lock_guard lock(mutex_);
    pump_posted_ = false;
    ready.swap(ready_);
  }
  for (const auto& id : ready)
    if (is_active_.insert(id).second) active_.push_back(id);
  while (!active_.empty() && connection_->outbox_bytes() < kEventsOutboxBytesMax) {
    std::string id = std::move(active_.front());
    active_.pop_front();
    is_active_.erase(id);
    const auto found = attachments_.find(id);
    if (found == attachments_.end() || !send_some(found->second)) continue;
    is_active_.insert(id);
    active_.push_back(std::move(id));
  }
}

bool Session::send_some(Attachment& attachment) {
  instance::ManagedInstance& one = *attachment.instance;
  for (int i = 0; i < kEventsPerTurn; ++i) {
    if (connection_->outbox_bytes() >= kEventsOutboxBytesMax) return true;  // blobs are large
    const auto event = one.log().next(attachment.sent_seq);
    if (!event) {
      one.log().fetch(attachment.sent_seq, [weak = weak_from_this(), ref = attachment.instance] {
        if (const auto self = weak.lock()) self->events_ready(ref);
      });
      return false;
    }
    attachment.sent_seq = event->seq;
    const uint64_t now_ns = services_.clock.now_ns();
    if (event->kind == EventKind::kEnd) one.set_end_sent();
    session_.send_event(one.id(), event->seq, event_messages(one.id(), *event), now_ns);
    if (event->kind == EventKind::kEnd) session_.expedite_delivery(now_ns);
    apply();
    event_bytes_ = std::max(event_bytes_, connection_->outbox_bytes());
  }
  return true;
}

void Session::handle(protocol::Delivered delivered) {
  const auto found = attachments_.find(delivered.instance_id);
  if (found == attachments_.end()) return;
  const InstanceRef instance = found->second.instance;
  instance->log().delivered(delivered.seq);
  if (!instance->log().drained()) return;
  attachments_.erase(found);
  {
    const std::lock_guard lock(mutex_);
    held_.erase(instance->id());
  }
  services_.instances.delivered(instance);
}

}  // namespace pie::server
