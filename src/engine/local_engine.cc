#include "engine/local_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/check.h"
#include "engine/snapshot/store.h"
#include "engine/step_loop.h"

namespace pie::engine {
namespace {

PrefixSharing sharing_of(const EngineConfig& config) {
  if (!config.prefix_cache) return PrefixSharing::kNobody;
  return config.prefix_cache_shared ? PrefixSharing::kEverybody : PrefixSharing::kUser;
}

uint64_t random_seed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

Result<void> check_sizes(const EngineLimits& limits, const EngineConfig& config) {
  if (limits.step_tokens_max == 0 || limits.page_count == 0 || limits.page_size == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[engine] got {} tokens a step, {} pages of {} tokens, expected at "
                             "least 1 of each",
                             limits.step_tokens_max, limits.page_count, limits.page_size)};
  }
  if (config.gather_fraction >= 0.0 && config.gather_fraction <= 1.0) return {};
  return Error{
      ErrorCode::kInvalidArgument,
      fmt::format("[engine] got gather fraction {}, expected 0 to 1", config.gather_fraction)};
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(std::shared_ptr<const model::Model> model,
                                               std::unique_ptr<exec::Executor> executor,
                                               const EngineConfig& config, const Clock& clock) {
  const uint32_t vocab_size = model->info().vocab_size;
  const uint32_t embedding_size = model->info().embedding_size;
  PIE_TRY_ASSIGN(auto engine, LocalEngine::open(std::move(model), vocab_size, embedding_size,
                                                std::move(executor), config, clock));
  return std::unique_ptr<Engine>(std::move(engine));
}

Result<std::unique_ptr<LocalEngine>> LocalEngine::open(std::shared_ptr<const model::Model> model,
                                                       uint32_t vocab_size, uint32_t embedding_size,
                                                       std::unique_ptr<exec::Executor> executor,
                                                       const EngineConfig& config,
                                                       const Clock& clock) {
  const exec::ExecutorConfig& pool = executor->config();
  const EngineLimits limits{
      .vocab_size = vocab_size,
      .embedding_size = embedding_size,
      .page_count = pool.page_count,
      .page_size = pool.page_size,
      .step_tokens_max = std::min(config.step_tokens_max, pool.step_tokens_max)};
  PIE_TRY(check_sizes(limits, config));
  std::string layout;
  if (!config.snapshot_folder.empty()) {
    PIE_TRY_ASSIGN(layout, executor->layout_id());
  }
  auto engine = std::make_unique<LocalEngine>(std::move(model), limits, config);
  engine->loop_ = std::make_unique<StepLoop>(*engine, engine->snapshots_.get(), std::move(layout),
                                             std::move(executor), limits, config,
                                             config.seed != 0 ? config.seed : random_seed(), clock);
  engine->thread_ = std::thread([loop = engine->loop_.get()] { loop->run(); });
  return engine;
}

LocalEngine::LocalEngine(std::shared_ptr<const model::Model> model, const EngineLimits& limits,
                         const EngineConfig& config)
    : model_(std::move(model)),
      limits_(limits),
      domains_(sharing_of(config)),
      snapshots_(config.snapshot_folder.empty()
                     ? nullptr
                     : std::make_unique<SnapshotStore>(config.snapshot_folder,
                                                       config.snapshot_user_bytes_max)) {
  stats_.kv_pages_capacity = limits.page_count;
  stats_.embeddings_capacity = kEmbeddingsCapacity;
}

LocalEngine::~LocalEngine() {
  inbox_.stop();
  if (thread_.joinable()) thread_.join();
}

const model::Model& LocalEngine::model() const { return PIE_CHECK(model_ != nullptr), *model_; }

void LocalEngine::open_instance(InstanceId instance, const InstanceOptions& options) {
  const std::lock_guard lock(mutex_);
  const uint32_t most = limits_.page_count;
  Instance& opened = instances_[instance];
  opened.kv_pages_max = options.kv_pages_max == 0 ? most : std::min(most, options.kv_pages_max);
  opened.page_account->shared = options.shared;
  opened.user = options.user;
  opened.domain = domains_.open(options.user);
}

void LocalEngine::close_instance(InstanceId instance, std::function<void()> closed) {
  AdapterTable adapters;  // go after the lock is released
  const std::lock_guard lock(mutex_);
  std::vector<kv::SlotId> pages, embeddings;
  if (const auto at = instances_.find(instance); at != instances_.end()) {
    pages = at->second.pages.slots();
    embeddings = at->second.embeddings.slots();
    adapters = std::move(at->second.adapters);
    for (const QueueId queue : at->second.queues) queues_.erase(queue);
    domains_.close(at->second.user);
    instances_.erase(at);
  }
  inbox_.post([instance, pages = std::move(pages), embeddings = std::move(embeddings),
               closed = std::move(closed)](LoopState& loop) {
    loop.close_instance(instance, pages, embeddings);
    closed();
  });
  inbox_.forget(instance, UINT32_MAX);  // whoever waited for it finds the message
}

void LocalEngine::instance_blocked(InstanceId instance) {
  const std::lock_guard lock(mutex_);
  inbox_.forget(instance, UINT32_MAX);
  const auto at = instances_.find(instance);
  if (at == instances_.end() || std::exchange(at->second.blocked, true)) return;
  if (at->second.is_paused()) inbox_.tell_paused();
}

QueueId LocalEngine::create_queue(InstanceId instance) {
  const std::lock_guard lock(mutex_);
  const QueueId queue{++last_queue_};
  const auto at = instances_.find(instance);
  if (at == instances_.end()) return queue;  // its commands will say so
  at->second.queues.insert(queue);
  queues_[queue].instance = instance;
  return queue;
}

void LocalEngine::close_queue(QueueId queue) {
  const std::lock_guard lock(mutex_);
  const auto at = queues_.find(queue);
  if (at == queues_.end()) return;
  const bool is_open = at->second.is_open;
  instances_.at(at->second.instance).queues.erase(queue);
  queues_.erase(at);
  if (is_open) inbox_.post([queue](LoopState& loop) { loop.scheduler.close_queue(queue); });
}

void LocalEngine::set_priority(QueueId queue, Priority priority) {
  const std::lock_guard lock(mutex_);
  const auto at = queues_.find(queue);
  if (at == queues_.end() || at->second.priority == priority) return;
  at->second.priority = priority;
  if (at->second.is_open) inbox_.change_priority(queue, priority);
}

Result<LocalEngine::Caller> LocalEngine::caller(std::string_view call, QueueId queue) {
  const auto at = queues_.find(queue);
  if (at == queues_.end()) {
    return Error{
        ErrorCode::kFailedPrecondition,
        fmt::format("[{}] got queue {}, expected one of an open instance", call, queue.value)};
  }
  return Caller{at->second.instance, &instances_.at(at->second.instance), queue, &at->second};
}

/// Whether the instance may have one more command that waits.
Result<void> LocalEngine::admit_command(std::string_view call, const Caller& who) const {
  if (who.instance->pending_commands < kCommandsPendingMax) return {};
  return Error{ErrorCode::kResourceExhausted,
               fmt::format("[{}] got a command on top of {} that wait, expected at most {}: wait "
                           "for results or synchronize",
                           call, who.instance->pending_commands, kCommandsPendingMax)};
}

/// Counts an admitted command and posts it; the step loop hears of the queue before its first one.
void LocalEngine::post_command(const Caller& who, std::unique_ptr<Command> command) {
  ++who.instance->pending_commands;
  who.instance->blocked = false;
  if (!std::exchange(who.queue->is_open, true)) {
    inbox_.post(
        [queue = who.queue_id, instance = who.id, priority = who.queue->priority](LoopState& loop) {
          loop.scheduler.open_queue(queue, instance);
          loop.scheduler.set_priority(queue, priority);
        });
  }
  command->id = sched::CommandId{++last_command_};
  command->queue = who.queue_id;
  command->instance = who.id;
  inbox_.post(std::move(command));
}

}  // namespace pie::engine
