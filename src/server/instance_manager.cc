#include "server/instance_manager.h"

#include <algorithm>
#include <condition_variable>
#include <utility>

#include "base/log.h"
#include "base/user_name.h"
#include "base/utf8.h"
#include "server/durable_log.h"
#include "server/http_instance.h"
#include "server/log_tail.h"

namespace pie::server {
namespace {

instance::LifeTimes life_times(const ServerLimits& limits) {
  return {.grace_ns = limits.grace_s * 1'000'000'000,
          .finished_kept_ns = limits.finished_kept_s * 1'000'000'000};
}

/// What lists say of arguments: of one instance, and of all rows of a list together. A list has a
/// row for every instance, however many, and must fit into one answer.
constexpr size_t kListedRowBytesMax = 64U << 10;
constexpr size_t kListedBytesMax = 8U << 20;

std::vector<std::string> shortened_arguments(const std::vector<std::string>& arguments,
                                             size_t bytes_max) {
  constexpr size_t kPerArgument = 5;  // of the frame
  std::vector<std::string> listed;
  size_t left = bytes_max;
  for (const std::string& one : arguments) {
    if (left < kPerArgument) {
      listed.push_back("\u2026 (" + std::to_string(arguments.size() - listed.size()) + " more)");
      break;
    }
    left -= kPerArgument;
    listed.push_back(shortened(to_utf8(std::string_view(one).substr(0, left + 4)), left));
    left -= std::min(left, one.size());
  }
  return listed;
}

Error stopping_error() { return {ErrorCode::kUnavailable, "[launch] the server is stopping"}; }

Error not_found() { return {ErrorCode::kNotFound, "Instance not found"}; }

}  // namespace

InstanceManager::InstanceManager(const ServerLimits& limits, Ledger& ledger,
                                 host::ProgramHost& host, store::Instances& store, WorkQueue& disk,
                                 WorkQueue& bookkeeping, const DiskReserve& reserve,
                                 net::IoThreads& threads, const Clock& clock)
    : limits_(limits),
      ledger_(ledger),
      host_(host),
      store_(store),
      disk_(disk),
      bookkeeping_(bookkeeping),
      reserve_(reserve),
      threads_(threads),
      clock_(clock) {}

Result<void> InstanceManager::recover() {
  PIE_TRY_ASSIGN(const auto records, store_.list());
  for (const auto& record : records) adopt(record);
  return {};
}

void InstanceManager::adopt(const store::InstanceRecord& record) {
  auto log = open_log(record.id, record.owner);
  if (!log.ok()) {
    log::error("instance {}: {}", record.id, log.error().message);
    return;
  }
  const uint64_t now_ns = clock_.wall_ns();
  instance::LifeCycle life(instance::LaunchMode::kDetached, life_times(limits_));
  life.ended(record.finished_ns.value_or(now_ns));
  if (!(*log)->ended()) {
    (*log)->end(instance::EndCode::kServerError, "server restarted");
    if (auto done = store_.finished(record.id, now_ns); !done.ok())
      log::error("instance {}: {}", record.id, done.error().message);
  }
  const UserQuotasRef quotas = ledger_.of(record.owner);
  Holding memory(part_of(quotas, &UserQuotas::host_memory));
  if (!memory.take(ManagedInstance::memory_bytes(record)))
    log::warning("instance {}: kept over the bound of its user", record.id);
  auto instance = std::make_shared<ManagedInstance>(record, life, std::move(log).value(), nullptr,
                                                    quotas, std::move(memory));
  instance->listen();
  const bool drained = instance->log().undelivered_bytes() == 0;
  {
    const std::lock_guard lock(mutex_);
    instances_.emplace(record.id, instance);
  }
  if (drained) forget(instance);
}

Result<std::shared_ptr<instance::EventLog>> InstanceManager::open_log(const std::string& id,
                                                                      const std::string& user) {
  return open_durable_log(
      store_, id,
      {.undelivered_bytes_max = limits_.instance.log_bytes_max, .shared = ledger_.of(user)},
      [this, user](std::function<void()> task) {
        if (auto posted = disk_.post_once(user, std::move(task)); !posted.ok())
          log::error("instance log: {}", posted.error().message);
      });
}

void InstanceManager::book(const std::string& user, std::function<void()> job) {
  if (auto posted = bookkeeping_.post_once(user, std::move(job)); !posted.ok())
    log::error("instances: {}", posted.error().message);
}

Result<void> InstanceManager::admit(const std::string& user) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return stopping_error();
  uint32_t& running = running_per_user_[user];
  if (running >= limits_.user.instances_max)
    return Error{ErrorCode::kResourceExhausted,
                 "[launch] got " + std::to_string(running) +
                     " running instances of this user, expected fewer than " +
                     std::to_string(limits_.user.instances_max) +
                     "; terminate some, or wait for their ends"};
  ++running;
  return {};
}

void InstanceManager::leave(const std::string& user) {
  const std::lock_guard lock(mutex_);
  const auto found = running_per_user_.find(user);
  if (--found->second == 0) running_per_user_.erase(found);
}

Result<std::shared_ptr<ManagedInstance>> InstanceManager::create(const Launch& launch) {
  store::InstanceRecord record{.id = make_instance_id(),
                               .owner = launch.user,
                               .cmd_name = launch.program.display_name,
                               .program_hash = launch.program.program->hash(),
                               .arguments = launch.arguments,
                               .detached = launch.mode == instance::LaunchMode::kDetached,
                               .launched_ns = clock_.wall_ns(),
                               .finished_ns = std::nullopt,
                               .arguments_bytes = ManagedInstance::bytes_of(launch.arguments)};
  UserQuotasRef quotas = ledger_.of(launch.user);
  const uint64_t weight = ManagedInstance::weight(record);
  if (quotas && quotas->stored_logs.would_exceed(weight))
    return Error{ErrorCode::kResourceExhausted,
                 "[launch] got an instance with " + std::to_string(weight) +
                     " bytes to keep, expected room: " + quotas->stored_logs.refusal(weight) +
                     "; attach to finished instances, or terminate them"};
  PIE_TRY(reserve_.check("launch", weight));
  PIE_TRY_ASSIGN(auto log, open_log(record.id, launch.user));
  PIE_TRY(store_.add(record));
  record.arguments = shortened_arguments(record.arguments, kListedRowBytesMax);
  Holding memory(part_of(quotas, &UserQuotas::host_memory));
  if (const uint64_t bytes = ManagedInstance::memory_bytes(record); !memory.take(bytes)) {
    auto removed = store_.remove(record.id);
    return Error{ErrorCode::kResourceExhausted,
                 "[launch] got no room for one more instance: " + memory.refusal(bytes)};
  }
  auto instance = std::make_shared<ManagedInstance>(
      std::move(record), instance::LifeCycle(launch.mode, life_times(limits_)), std::move(log),
      [this](const InstanceRef& one, host::End end) { ended(one, std::move(end)); },
      std::move(quotas), std::move(memory));
  instance->listen();
  return instance;
}

Result<std::shared_ptr<ManagedInstance>> InstanceManager::launch(Launch launch) {
  PIE_TRY(admit(launch.user));
  Result<InstanceRef> created = create(launch);
  if (!created.ok()) {
    leave(launch.user);
    return created;
  }
  const InstanceRef instance = *created;
  const auto drop = [&](Error error) {
    leave(launch.user);
    instance->finish({host::EndKind::kServerError, error.message}, clock_.wall_ns());
    forget(instance);
    return error;
  };
  bool is_known = false;
  {
    const std::lock_guard lock(mutex_);  // stop() ends whatever is known by then
    if (!stopping_) is_known = instances_.emplace(instance->id(), instance).second;
  }
  if (!is_known) return drop(stopping_error());
  auto running = start({.id = InstanceId(next_id_++),
                        .public_id = instance->id(),
                        .user = launch.user,
                        .arguments = std::move(launch.arguments),
                        .limits = limits_.instance,
                        .quotas = ledger_.of(launch.user),
                        .program = launch.program.program,
                        .ports = instance},
                       launch.http_port);
  if (!running.ok()) return drop(std::move(running).error());
  instance->set_running(std::move(running).value());
  return instance;
}

Result<std::shared_ptr<host::RunningInstance>> InstanceManager::start(host::LaunchSpec spec,
                                                                      uint16_t http_port) {
  if (http_port == 0) return host_.launch(std::move(spec));
  if (!spec.program->serves_http())
    return Error{ErrorCode::kFailedPrecondition,
                 "[launch_server_instance] got a program without wasi:http/incoming-handler, "
                 "expected one that exports it; launch this one as an instance"};
  PIE_TRY_ASSIGN(
      auto instance,
      HttpInstance::launch({.host = host_,
                            .threads = threads_,
                            .sockets = {.port = http_port,
                                        .connections_max = limits_.http_connections_max,
                                        .header_bytes_max = limits_.http_header_bytes_max,
                                        .body_bytes_max = limits_.http_body_bytes_max,
                                        .header_ms_max = limits_.http_header_s_max * 1'000},
                            .request_s_max = limits_.http_request_s_max,
                            .next_id = [this] { return InstanceId(next_id_++); },
                            .spec = std::move(spec)}));
  return std::shared_ptr<host::RunningInstance>(std::move(instance));
}

void InstanceManager::ended(const InstanceRef& instance, host::End end) {
  book(instance->record().owner, [this, instance, end = std::move(end)] {
    const uint64_t now_ns = clock_.wall_ns();
    leave(instance->record().owner);
    instance->finish(end, now_ns);
    // Once delivered the record may be gone already; then this changes nothing.
    if (auto done = store_.finished(instance->id(), now_ns); !done.ok())
      log::error("instance {}: {}", instance->id(), done.error().message);
  });
}

Result<std::shared_ptr<ManagedInstance>> InstanceManager::find(const std::string& user,
                                                               const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = instances_.find(id);
  if (found == instances_.end()) return not_found();
  if (found->second->record().owner != user && user != kInternalUser) return not_found();
  return found->second;
}

void InstanceManager::attach(const std::string& user, const std::string& id,
                             std::shared_ptr<EventSink> sink, Attached done) {
  if (!is_instance_id(id)) return done(Error{ErrorCode::kInvalidArgument, "Invalid instance_id"});
  auto found = find(user, id);
  if (!found.ok()) return done(std::move(found).error());
  const InstanceRef instance = *found;
  const auto holder = instance->attach(sink);
  if (!holder) return done(instance);
  const Error taken{ErrorCode::kFailedPrecondition, "Instance already attached"};
  if (holder == sink) return done(taken);
  holder->probe(
      [this, instance, holder, sink = std::move(sink), done = std::move(done), taken](bool alive) {
        if (alive) return done(taken);
        holder->taken_over(instance->id());
        instance->client_lost(holder.get(), clock_.wall_ns());
        if (instance->attach(sink)) return done(taken);  // a third one was faster
        done(instance);
      });
}

void InstanceManager::terminate(const std::string& user, const std::string& id,
                                std::function<void(Result<void>)> done) {
  if (!is_instance_id(id)) return done(Error{ErrorCode::kInvalidArgument, "Malformed instance ID"});
  auto found = find(user, id);
  if (!found.ok()) return done(std::move(found).error());
  const InstanceRef instance = *found;
  if (instance->status() == instance::Status::kFinished) {
    // Whoever has heard its end need not prove that first: it is gone (as lists say, too).
    if (!instance->is_listed()) return done(not_found());
    forget(instance);
    return done({});
  }
  instance->when_ended([done = std::move(done)] { done({}); });
  instance->terminate({host::EndKind::kAborted, "Signal termination"});
}

Result<std::shared_ptr<host::RunningInstance>> InstanceManager::mailbox_of(
    const std::string& user, const std::string& id) const {
  if (!is_instance_id(id)) return Error{ErrorCode::kInvalidArgument, "Invalid instance_id"};
  PIE_TRY_ASSIGN(const InstanceRef instance, find(user, id));
  auto running = instance->running();
  if (!running) return not_found();
  if (!running->has_mailbox())
    return Error{ErrorCode::kUnsupported,
                 "[instance] got one that serves HTTP, expected one that receives messages; send "
                 "it a request"};
  return running;
}

Result<void> InstanceManager::signal(const std::string& user, const std::string& id,
                                     std::string message) {
  PIE_TRY_ASSIGN(const auto running, mailbox_of(user, id));
  if (running->mailbox_bytes() + message.size() > limits_.instance.mailbox_bytes_max)
    return Error{ErrorCode::kResourceExhausted,
                 "[signal] got more than " + std::to_string(limits_.instance.mailbox_bytes_max) +
                     " bytes that the instance has not received, expected fewer; wait for it"};
  return running->post_message(std::move(message));
}

Result<void> InstanceManager::send_blob(const std::string& user, const std::string& id,
                                        BlobRef blob) {
  PIE_TRY_ASSIGN(const auto running, mailbox_of(user, id));
  if (running->mailbox_bytes() + blob->size() > limits_.instance.mailbox_bytes_max)
    return Error{ErrorCode::kResourceExhausted,
                 "[blob] got more than " + std::to_string(limits_.instance.mailbox_bytes_max) +
                     " bytes that the instance has not received, expected fewer; wait for it"};
  return running->post_blob(std::move(blob));
}

std::vector<std::shared_ptr<ManagedInstance>> InstanceManager::all() const {
  std::vector<InstanceRef> copies;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, instance] : instances_) copies.push_back(instance);
  return copies;
}

std::vector<protocol::LiveInstance> InstanceManager::list(const std::string& user) const {
  auto instances = all();
  std::erase_if(instances, [&](const InstanceRef& one) {
    return (one->record().owner != user && user != kInternalUser) || !one->is_listed();
  });
  std::sort(instances.begin(), instances.end(), [](const InstanceRef& a, const InstanceRef& b) {
    return a->record().launched_ns > b->record().launched_ns;
  });
  std::vector<protocol::LiveInstance> rows;
  const uint64_t now_ns = clock_.wall_ns();
  const size_t row_bytes =
      std::min(kListedRowBytesMax, kListedBytesMax / std::max<size_t>(instances.size(), 1));
  for (const auto& one : instances) {
    const auto& record = one->record();
    const auto running = one->running();
    const uint64_t age_ns = now_ns - std::min(now_ns, record.launched_ns);
    rows.push_back({.id = record.id,
                    .cmd_name = record.cmd_name,
                    .arguments = shortened_arguments(record.arguments, row_bytes),
                    .status = std::string(instance::to_string(one->status())),
                    .username = record.owner,
                    .elapsed_secs = age_ns / 1'000'000'000,
                    .kv_pages_used = running ? running->kv_pages_used() : 0});
  }
  return rows;
}

Result<std::string> InstanceManager::log_tail(const std::string& user,
                                              const std::string& record) const {
  PIE_TRY_ASSIGN(const LogQuery query, parse_log_query(record));
  if (!is_instance_id(query.instance_id))
    return Error{ErrorCode::kInvalidArgument, "Invalid instance_id"};
  PIE_TRY_ASSIGN(const InstanceRef instance, find(user, query.instance_id));
  return server::log_tail(instance->log(), query.bytes_max, query.as_json);
}

std::map<std::string, std::vector<host::ModelUse>> InstanceManager::model_use(
    const std::string& user) const {
  std::map<std::string, std::vector<host::ModelUse>> uses;
  for (const auto& one : all()) {
    if (one->record().owner != user && user != kInternalUser) continue;
    if (const auto running = one->running()) uses[one->id()] = running->use_by_model();
  }
  return uses;
}

size_t InstanceManager::running_count() const {
  const std::lock_guard lock(mutex_);
  size_t count = 0;
  for (const auto& [user, running] : running_per_user_) count += running;
  return count;
}

void InstanceManager::forget(const InstanceRef& instance) {
  {
    const std::lock_guard lock(mutex_);
    instances_.erase(instance->id());
  }
  instance->forgotten();
  instance->log().discard([this, user = instance->record().owner, id = instance->id()] {
    book(user, [this, id] {
      if (auto done = store_.remove(id); !done.ok())
        log::error("instance {}: {}", id, done.error().message);
    });
  });
}

void InstanceManager::delivered(const InstanceRef& instance) {
  if (instance->log().drained()) forget(instance);
}

void InstanceManager::sweep() {
  const uint64_t now_ns = clock_.wall_ns();
  ledger_.begin_hour(now_ns);
  for (const auto& one : all()) {
    one->log().retry();
    const auto due = one->due(now_ns);
    if (due == instance::LifeCycle::Due::kRemove) forget(one);
    if (due != instance::LifeCycle::Due::kAbort) continue;
    one->terminate({host::EndKind::kAborted,
                    "the client was away for " + std::to_string(limits_.grace_s) + " s"});
  }
}

void InstanceManager::stop() {
  stopping_ = true;
  std::vector<InstanceRef> running_ones;
  for (const auto& one : all())
    if (one->status() != instance::Status::kFinished) running_ones.push_back(one);
  std::mutex mutex;
  std::condition_variable changed;
  size_t left = running_ones.size();
  for (const auto& one : running_ones) {
    one->when_ended([&] {
      const std::lock_guard lock(mutex);
      --left;
      changed.notify_all();
    });
    one->terminate({host::EndKind::kServerError, "server stopped"});
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return left == 0; });
}

}  // namespace pie::server
