#include "server/session_events.h"

#include <algorithm>
#include <utility>

#include "server/event_messages.h"
#include "server/session.h"

namespace pie::server {
namespace {

constexpr uint64_t kProbeMs = 2'000;
constexpr uint64_t kOutboxBytesMax = 1ULL << 20;  ///< above it events wait in their logs
constexpr int kEventsPerTurn = 16;

}  // namespace

std::shared_ptr<SessionEvents> SessionEvents::shared() {
  return {session_.shared_from_this(), this};
}

void SessionEvents::heard() {
  std::map<uint64_t, std::function<void(Peer)>> probes;
  {
    const std::lock_guard lock(mutex_);
    probes.swap(probes_);
  }
  for (const auto& [id, done] : probes) done(Peer::kAnswers);
}

void SessionEvents::probe(std::function<void(Peer)> done) {
  uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      id = next_probe_++;
      probes_.emplace(id, done);
    }
  }
  if (id == 0) return done(Peer::kSilent);
  session_.post([self = shared(), id] {
    self->session_.connection().ping("probe");
    self->session_.connection().post_after(kProbeMs, [self, id] { self->probe_unanswered(id); });
  });
}

void SessionEvents::probe_unanswered(uint64_t id) {
  std::function<void(Peer)> unanswered;
  {
    const std::lock_guard lock(mutex_);
    const auto found = probes_.find(id);
    if (found == probes_.end()) return;
    unanswered = std::move(found->second);
    probes_.erase(found);
  }
  unanswered(Peer::kSilent);
  session_.connection().abort();
}

void SessionEvents::taken_over(const std::string& instance_id) {
  {
    const std::lock_guard lock(mutex_);
    held_.erase(instance_id);
  }
  session_.post([self = shared(), instance_id] {
    self->attachments_.erase(instance_id);
    self->session_.protocol().forget_instance(instance_id);
  });
}

void SessionEvents::close() {
  std::map<std::string, InstanceRef> held;
  std::map<uint64_t, std::function<void(Peer)>> probes;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    held.swap(held_);
    probes.swap(probes_);
  }
  for (const auto& [id, instance] : held) instance->client_lost(this);
  for (const auto& [id, done] : probes) done(Peer::kSilent);
  attachments_.clear();
  active_.clear();
}

bool SessionEvents::hold(const InstanceRef& instance) {
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

void SessionEvents::follow(const InstanceRef& instance) {
  attachments_[instance->id()] = {instance, instance->log().delivered_seq()};
  events_ready(instance);
}

void SessionEvents::events_ready(const InstanceRef& instance) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    ready_.insert(instance->id());
    if (pump_posted_) return;
    pump_posted_ = true;
  }
  session_.post([self = shared()] { self->pump(); });
}

void SessionEvents::pump() {
  std::set<std::string> ready;
  {
    const std::lock_guard lock(mutex_);
    pump_posted_ = false;
    ready.swap(ready_);
  }
  for (const auto& id : ready)
    if (is_active_.insert(id).second) active_.push_back(id);
  while (!active_.empty() && session_.connection().outbox_bytes() < kOutboxBytesMax) {
    std::string id = std::move(active_.front());
    active_.pop_front();
    is_active_.erase(id);
    const auto found = attachments_.find(id);
    if (found == attachments_.end() || !send_some(found->second)) continue;
    is_active_.insert(id);
    active_.push_back(std::move(id));
  }
}

bool SessionEvents::send_some(Attachment& attachment) {
  instance::ManagedInstance& one = *attachment.instance;
  for (int i = 0; i < kEventsPerTurn; ++i) {
    if (session_.connection().outbox_bytes() >= kOutboxBytesMax) return true;  // blobs are large
    const auto event = one.log().next(attachment.sent_seq);
    if (!event) {
      one.log().fetch(attachment.sent_seq,
                      [weak = std::weak_ptr(shared()), ref = attachment.instance] {
                        if (const auto self = weak.lock()) self->events_ready(ref);
                      });
      return false;
    }
    attachment.sent_seq = event->seq;
    const uint64_t now_ns = session_.services().clock.now_ns();
    if (event->kind == EventKind::kEnd) one.set_end_sent();
    session_.protocol().send_event(one.id(), event->seq, event_messages(one.id(), *event), now_ns);
    if (event->kind == EventKind::kEnd) session_.protocol().expedite_delivery(now_ns);
    session_.apply();
    outbox_bytes_ = std::max(outbox_bytes_, session_.connection().outbox_bytes());
  }
  return true;
}

void SessionEvents::delivered(const protocol::Delivered& delivered) {
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
  session_.services().instances.delivered(instance);
}

}  // namespace pie::server
