#include "instance/instance_manager.h"

#include <algorithm>
#include <latch>
#include <utility>

#include "base/log.h"
#include "instance/instance_id.h"
#include "instance/log_tail.h"

namespace pie::instance {

InstanceManager::InstanceManager(const ServerLimits& limits, const InstanceServices& services)
    : limits_(limits),
      services_(services),
      maker_(limits, services, *this),
      admission_(limits.user.instances_max) {}

Result<void> InstanceManager::recover() {
  PIE_TRY_ASSIGN(auto stored, services_.records.recover());
  for (auto& [record, log] : stored) {
    if (!log.ok()) {
      log::error("instance {}: {}", record.id, log.error().message);
      continue;
    }
    const InstanceRef instance = maker_.adopt(std::move(record), std::move(log).value());
    instances_.add(instance);
    if (instance->log().undelivered_bytes() == 0) forget(instance);
  }
  return {};
}

void InstanceManager::launch(host::LaunchSpec spec, Done done) {
  auto place = admission_.enter(spec.user);
  if (!place.ok()) return done(std::move(place).error());
  store::InstanceRecord record = maker_.record_of(spec);
  auto made = maker_.make(std::move(spec), record, std::move(place).value());
  if (!made.ok()) return done(std::move(made).error());
  services_.records.add(std::move(record), [this, instance = std::move(made).value(),
                                            done = std::move(done)](Result<void> kept) {
    Result<void> started = kept.ok() ? start(instance) : kept;
    if (started.ok()) return done(instance);
    forget(instance);
    instance->on_end({EndKind::kServerError, started.error().message});
    done(std::move(started).error());  // stop() may have returned by now
  });
}

Result<InstanceManager::InstanceRef> InstanceManager::launch_child(
    host::LaunchSpec spec, const Descent& parent,
    const std::shared_ptr<InstanceListener>& listener) {
  PIE_TRY_ASSIGN(auto place, admission_.enter(spec.user));
  PIE_TRY_ASSIGN(const InstanceRef instance,
                 maker_.make_child(std::move(spec), parent, std::move(place)));
  instance->attach(listener);
  if (auto started = start(instance); !started.ok()) {
    forget(instance);
    instance->on_end({EndKind::kServerError, started.error().message});
    return std::move(started).error();
  }
  return instance;
}

Result<void> InstanceManager::start(const InstanceRef& instance) {
  if (!instances_.add(instance)) return stopping_error();  // stop() ends whatever is known by then
  const auto running = instance->running();
  return running->start();
}

void InstanceManager::attach(const std::string& user, const std::string& id,
                             std::shared_ptr<InstanceListener> listener, Done done) {
  if (!is_instance_id(id)) return done(Error{ErrorCode::kInvalidArgument, "Invalid instance_id"});
  auto found = instances_.find(user, id);
  if (!found.ok()) return done(std::move(found).error());
  const InstanceRef instance = *found;
  const auto holder = instance->attach(listener);
  if (!holder) return done(instance);
  const Error taken{ErrorCode::kFailedPrecondition, "Instance already attached"};
  if (holder == listener) return done(taken);
  holder->probe([instance, holder, listener = std::move(listener), done = std::move(done),
                 taken](InstanceListener::Peer peer) {
    if (peer == InstanceListener::Peer::kAnswers) return done(taken);
    holder->taken_over(instance->id());
    instance->client_lost(holder.get());
    if (instance->attach(listener)) return done(taken);  // a third one was faster
    done(instance);
  });
}

void InstanceManager::terminate(const std::string& user, const std::string& id,
                                std::function<void(Result<void>)> done) {
  if (!is_instance_id(id)) return done(Error{ErrorCode::kInvalidArgument, "Malformed instance ID"});
  auto found = instances_.find(user, id);
  if (!found.ok()) return done(std::move(found).error());
  const InstanceRef instance = *found;
  if (instance->status() == Status::kFinished) {
    // Whoever has heard its end need not prove that first: it is gone (as lists say, too).
    if (!instance->is_listed()) return done(instance_not_found());
    forget(instance);
    return done({});
  }
  instance->when_ended([done = std::move(done)] { done({}); });
  instance->terminate({EndKind::kAborted, "Signal termination"});
}

Result<std::shared_ptr<host::RunningInstance>> InstanceManager::mailbox_of(const std::string& user,
                                                                           const std::string& id,
                                                                           const char* what,
                                                                           uint64_t bytes) const {
  if (!is_instance_id(id)) return Error{ErrorCode::kInvalidArgument, "Invalid instance_id"};
  PIE_TRY_ASSIGN(const InstanceRef instance, instances_.find(user, id));
  return mailbox_of(*instance, what, bytes);
}

Result<std::shared_ptr<host::RunningInstance>> InstanceManager::mailbox_of(
    const ManagedInstance& instance, const char* what, uint64_t bytes) const {
  auto running = instance.running();
  if (!running) return instance_not_found();
  if (!running->has_mailbox())
    return Error{ErrorCode::kUnsupported,
                 "[instance] got one that serves HTTP, expected one that receives messages; send "
                 "it a request"};
  if (running->mailbox_bytes() + bytes > limits_.instance.mailbox_bytes_max)
    return Error{ErrorCode::kResourceExhausted,
                 "[" + std::string(what) + "] got more than " +
                     std::to_string(limits_.instance.mailbox_bytes_max) +
                     " bytes that the instance has not received, expected fewer; wait for it"};
  return running;
}

Result<void> InstanceManager::signal(const std::string& user, const std::string& id,
                                     std::string message) {
  PIE_TRY_ASSIGN(const auto running, mailbox_of(user, id, "signal", message.size()));
  return running->post_message(std::move(message));
}

Result<void> InstanceManager::send_blob(const std::string& user, const std::string& id,
                                        BlobRef blob) {
  PIE_TRY_ASSIGN(const auto running, mailbox_of(user, id, "blob", blob->size()));
  return running->post_blob(std::move(blob));
}

std::vector<InstanceManager::InstanceRef> InstanceManager::list(const std::string& user) const {
  auto listed = instances_.of(user);
  std::erase_if(listed, [](const InstanceRef& one) { return !one->is_listed(); });
  std::sort(listed.begin(), listed.end(), [](const InstanceRef& a, const InstanceRef& b) {
    return a->record().launched_ns > b->record().launched_ns;
  });
  return listed;
}

void InstanceManager::log_tail(const std::string& user, const std::string& record,
                               std::function<void(Result<std::string>)> done) const {
  const auto found = [&]() -> Result<std::pair<TailQuery, InstanceRef>> {
    PIE_TRY_ASSIGN(const TailQuery query, parse_tail_query(record));
    if (!is_instance_id(query.instance_id))
      return Error{ErrorCode::kInvalidArgument, "Invalid instance_id"};
    PIE_TRY_ASSIGN(const InstanceRef instance, instances_.find(user, query.instance_id));
    return std::pair(query, instance);
  }();
  if (!found.ok()) return done(found.error());
  const auto& [query, instance] = *found;
  collect_tail(instance->shared_log(), query.bytes_max, query.form, std::move(done));
}

std::map<std::string, std::vector<host::ModelUse>> InstanceManager::model_use(
    const std::string& user) const {
  std::map<std::string, std::vector<host::ModelUse>> uses;
  for (const auto& one : instances_.of(user))
    if (const auto running = one->running()) uses[one->id()] = running->use_by_model();
  return uses;
}

void InstanceManager::forget(const InstanceRef& instance) {
  instances_.remove(instance->id());
  instance->forgotten();
  instance->log().discard([&records = instance->records(), owner = instance->record().owner,
                           id = instance->id()] { records.remove(owner, id); });
}

void InstanceManager::delivered(const InstanceRef& instance) {
  if (instance->log().drained()) forget(instance);
}

void InstanceManager::sweep() {
  const uint64_t now_ns = services_.clock.wall_ns();
  services_.ledger.begin_hour(now_ns);
  for (const auto& one : instances_.all()) {
    one->log().retry();
    const auto due = one->due(now_ns);
    if (due == LifeCycle::Due::kRemove) forget(one);
    if (due != LifeCycle::Due::kAbort) continue;
    one->terminate(
        {EndKind::kAborted, "the client was away for " + std::to_string(limits_.grace_s) + " s"});
  }
}

void InstanceManager::stop() {
  admission_.close();
  instances_.close();
  std::vector<InstanceRef> running = instances_.all();
  std::erase_if(running, [](const auto& one) { return one->status() == Status::kFinished; });
  const auto ended = std::make_shared<std::latch>(static_cast<std::ptrdiff_t>(running.size()));
  for (const auto& one : running) {
    one->when_ended([ended] { ended->count_down(); });
    one->terminate({EndKind::kServerError, "server stopped"});
  }
  ended->wait();
  admission_.wait_for_none();
}

}  // namespace pie::instance
