#include "instance/instance_maker.h"

#include <utility>

#include "base/log.h"
#include "instance/arguments.h"
#include "instance/http_instance.h"
#include "instance/instance_id.h"
#include "instance/launched_children.h"

namespace pie::instance {
namespace {

/// What a child has said and its parent has not received: more waits.
constexpr uint64_t kChildLogBytesMax = 1ULL << 20;

}  // namespace

LifeTimes InstanceMaker::life_times() const {
  return {.grace_ns = limits_.grace_s * 1'000'000'000,
          .finished_kept_ns = limits_.finished_kept_s * 1'000'000'000};
}

LogLimits InstanceMaker::log_limits(const UserQuotasRef& quotas) const {
  return {.undelivered_bytes_max = limits_.instance.log_bytes_max,
          .undelivered = part_of(quotas, &UserQuotas::stored_logs)};
}

std::shared_ptr<Children> InstanceMaker::children_of(const host::LaunchSpec& spec,
                                                     Descent self) const {
  return std::make_shared<LaunchedChildren>(
      manager_, LaunchedChildren::Parent{spec.user, std::move(self), limits_.instance});
}

store::InstanceRecord InstanceMaker::record_of(const host::LaunchSpec& spec) const {
  return {.id = make_instance_id(),
          .owner = spec.user,
          .cmd_name = spec.display_name,
          .program_hash = spec.program->hash(),
          .arguments = spec.arguments,
          .detached = spec.mode == LaunchMode::kDetached,
          .launched_ns = services_.clock.wall_ns(),
          .finished_ns = std::nullopt,
          .arguments_bytes = arguments_bytes(spec.arguments)};
}

Result<InstanceMaker::InstanceRef> InstanceMaker::make(host::LaunchSpec spec,
                                                       store::InstanceRecord record,
                                                       std::unique_ptr<Admission::Place> place) {
  UserQuotasRef quotas = services_.ledger.of(spec.user);
  const uint64_t weight = ManagedInstance::weight(record);
  if (quotas && quotas->stored_logs.would_exceed(weight))
    return Error{ErrorCode::kResourceExhausted,
                 "[launch] got an instance with " + std::to_string(weight) +
                     " bytes to keep, expected room: " + quotas->stored_logs.refusal(weight) +
                     "; attach to finished instances, or terminate them"};
  Descent self{.id = record.id, .quotas = family_quotas(quotas, limits_.instance)};
  auto log = std::make_shared<EventLog>(log_limits(quotas),
                                        services_.records.new_log(record.owner, record.id));
  const LaunchMode mode = spec.mode;
  return assemble(std::move(spec), std::move(record), std::move(self),
                  {.life = LifeCycle(mode, life_times()),
                   .log = std::move(log),
                   .quotas = quotas,
                   .memory = Holding(part_of(quotas, &UserQuotas::host_memory)),
                   .place = std::move(place)},
                  services_.records);
}

Result<InstanceMaker::InstanceRef> InstanceMaker::make_child(
    host::LaunchSpec spec, const Descent& parent, std::unique_ptr<Admission::Place> place) {
  store::InstanceRecord record = record_of(spec);
  Descent self{.id = record.id,
               .parent = parent.id,
               .generation = parent.generation + 1,
               .quotas = parent.quotas};
  const auto memory = part_of(parent.quotas, &UserQuotas::host_memory);
  const LogLimits unread{.undelivered_bytes_max = kChildLogBytesMax, .undelivered = memory};
  return assemble(std::move(spec), std::move(record), std::move(self),
                  {.life = LifeCycle(LaunchMode::kAttached, life_times()),
                   .log = std::make_shared<EventLog>(unread, nullptr),
                   .quotas = parent.quotas,
                   .memory = Holding(memory),
                   .place = std::move(place)},
                  volatile_records_);
}

Result<InstanceMaker::InstanceRef> InstanceMaker::assemble(host::LaunchSpec spec,
                                                           store::InstanceRecord record,
                                                           Descent self,
                                                           ManagedInstance::Parts parts,
                                                           store::InstanceRecords& records) {
  record.arguments = shortened_arguments(record.arguments, kListedArgumentsBytesMax);
  if (const uint64_t bytes = ManagedInstance::memory_bytes(record); !parts.memory.take(bytes))
    return Error{ErrorCode::kResourceExhausted,
                 "[launch] got no room for one more instance: " + parts.memory.refusal(bytes)};
  spec.id = InstanceId(next_id_++);
  spec.public_id = record.id;
  spec.limits = limits_.instance;
  const bool serves_http = spec.http_port != 0;
  spec.quotas = serves_http ? parts.quotas : self.quotas;
  parts.record = std::move(record);
  parts.parent = self.parent;
  if (!serves_http) parts.children = children_of(spec, std::move(self));
  const auto instance = ManagedInstance::make(std::move(parts), records, services_.clock);
  spec.ports = instance;
  PIE_TRY_ASSIGN(auto running, prepare(std::move(spec)));
  instance->set_running(std::move(running));
  return instance;
}

Result<std::shared_ptr<host::RunningInstance>> InstanceMaker::prepare(host::LaunchSpec spec) {
  if (spec.http_port == 0) return services_.host.prepare(std::move(spec));
  if (!spec.program->serves_http())
    return Error{ErrorCode::kFailedPrecondition,
                 "[launch_server_instance] got a program without wasi:http/incoming-handler, "
                 "expected one that exports it; launch this one as an instance"};
  return std::shared_ptr<host::RunningInstance>(std::make_shared<HttpInstance>(
      HttpInstance::Parts{.host = services_.host,
                          .threads = services_.threads,
                          .sockets = {.port = spec.http_port,
                                      .connections_max = limits_.http_connections_max,
                                      .header_bytes_max = limits_.http_header_bytes_max,
                                      .body_bytes_max = limits_.http_body_bytes_max,
                                      .header_ms_max = limits_.http_header_s_max * 1'000},
                          .request_s_max = limits_.http_request_s_max,
                          .begin_run = [this](host::LaunchSpec& run) { return begin_run(run); },
                          .spec = std::move(spec)}));
}

std::shared_ptr<Children> InstanceMaker::begin_run(host::LaunchSpec& run) {
  run.id = InstanceId(next_id_++);
  run.quotas = family_quotas(run.quotas, run.limits);
  return children_of(run, {.id = run.public_id, .quotas = run.quotas});
}

InstanceMaker::InstanceRef InstanceMaker::adopt(store::InstanceRecord record,
                                                store::StoredLog stored) const {
  UserQuotasRef quotas = services_.ledger.of(record.owner);
  auto log = std::make_shared<EventLog>(log_limits(quotas), std::move(stored));
  LifeCycle life(LaunchMode::kDetached, life_times());
  life.ended(record.finished_ns.value_or(services_.clock.wall_ns()));
  Holding memory(part_of(quotas, &UserQuotas::host_memory));
  if (!memory.take(ManagedInstance::memory_bytes(record)))
    log::warning("instance {}: kept over the bound of its user", record.id);
  const auto instance = ManagedInstance::make({.record = std::move(record),
                                               .life = life,
                                               .log = log,
                                               .quotas = std::move(quotas),
                                               .memory = std::move(memory),
                                               .place = nullptr},
                                              services_.records, services_.clock);
  if (!log->ended()) instance->on_end({EndKind::kServerError, "server restarted"});
  return instance;
}

}  // namespace pie::instance
