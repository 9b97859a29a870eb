#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <thread>

#include "base/check.h"
#include "engine/engine_impl.h"
#include "engine/local_engine.h"
#include "engine/snapshot/store.h"
#include "engine/step_loop.h"

namespace pie::engine {
namespace {

class EngineImpl final : public Engine {
 public:
  EngineImpl(std::shared_ptr<const model::Model> model, std::unique_ptr<exec::Executor> executor,
             const EngineLimits& limits, const EngineConfig& config, std::string layout,
             uint64_t seed, const Clock& clock)
      : model_(std::move(model)),
        page_size_(limits.page_size),
        snapshots_(config.snapshot_folder.empty()
                       ? nullptr
                       : std::make_unique<SnapshotStore>(config.snapshot_folder,
                                                         config.snapshot_user_bytes_max)),
        front_(limits, config, snapshots_.get()),
        loop_(front_, snapshots_.get(), std::move(layout), std::move(executor), limits, config,
              seed, clock),
        thread_([this] { loop_.run(); }) {}

  ~EngineImpl() override {
    front_.stop();
    thread_.join();
  }

  const model::Model& model() const override { return PIE_CHECK(model_ != nullptr), *model_; }
  uint32_t page_size() const override { return page_size_; }
  void open_instance(InstanceId instance, const InstanceOptions& options) override {
    front_.open_instance(instance, options);
  }
  void close_instance(InstanceId instance, std::function<void()> closed) override {
    front_.close_instance(instance, std::move(closed));
  }
  void instance_blocked(InstanceId instance) override { front_.instance_blocked(instance); }
  QueueId create_queue(InstanceId instance) override { return front_.create_queue(instance); }
  void close_queue(QueueId queue) override { front_.close_queue(queue); }
  void set_priority(QueueId queue, Priority priority) override {
    front_.set_priority(queue, priority);
  }
  Result<std::vector<uint32_t>> allocate(QueueId queue, uint32_t resource_type,
                                         uint32_t count) override {
    return front_.allocate(queue, resource_type, count);
  }
  Result<void> deallocate(QueueId queue, uint32_t resource_type,
                          std::span<const uint32_t> pointers) override {
    return front_.deallocate(queue, resource_type, pointers);
  }
  Result<void> export_resources(QueueId queue, uint32_t resource_type,
                                std::span<const uint32_t> pointers,
                                const std::string& name) override {
    return front_.export_resources(queue, resource_type, pointers, name);
  }
  Result<std::vector<uint32_t>> import_resources(QueueId queue, uint32_t resource_type,
                                                 const std::string& name) override {
    return front_.import_resources(queue, resource_type, name);
  }
  Result<void> release_exported(QueueId queue, uint32_t resource_type,
                                const std::string& name) override {
    return front_.release_exported(queue, resource_type, name);
  }
  Result<std::vector<ExportedName>> exported(QueueId queue, uint32_t resource_type) override {
    return front_.exported(queue, resource_type);
  }
  Result<void> save_snapshot(QueueId queue, SnapshotRequest request, SnapshotSaved done) override {
    return front_.save_snapshot(queue, std::move(request), std::move(done));
  }
  Result<void> load_snapshot(QueueId queue, const std::string& name, SnapshotLoaded done) override {
    return front_.load_snapshot(queue, name, std::move(done));
  }
  Result<std::vector<SnapshotInfo>> list_snapshots(QueueId queue) override {
    return front_.list_snapshots(queue);
  }
  Result<void> remove_snapshot(QueueId queue, const std::string& name) override {
    return front_.remove_snapshot(queue, name);
  }
  Result<void> submit(QueueId queue, ForwardPass pass, ForwardCallback done) override {
    return front_.submit(queue, std::move(pass), std::move(done));
  }
  Result<void> synchronize(QueueId queue, std::function<void(bool)> done) override {
    return front_.synchronize(queue, std::move(done));
  }
  uint32_t kv_pages_used(InstanceId instance) const override {
    return front_.kv_pages_used(instance);
  }
  PrefixSavings prefix_savings(InstanceId instance) const override {
    return front_.prefix_savings(instance);
  }
  EngineStats stats() const override { return front_.stats(); }

 private:
  const std::shared_ptr<const model::Model> model_;
  const uint32_t page_size_;
  const std::unique_ptr<SnapshotStore> snapshots_;  // null: none are kept
  Front front_;
  StepLoop loop_;
  std::thread thread_;  // last: starts when everything it uses is there
};

uint64_t random_seed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace

Result<std::unique_ptr<Engine>> make_engine(std::shared_ptr<const model::Model> model,
                                            uint32_t vocab_size, uint32_t embedding_size,
                                            std::unique_ptr<exec::Executor> executor,
                                            const EngineConfig& config, const Clock& clock) {
  const exec::ExecutorConfig& pool = executor->config();
  EngineLimits limits{.vocab_size = vocab_size,
                      .embedding_size = embedding_size,
                      .page_count = pool.page_count,
                      .page_size = pool.page_size,
                      .step_tokens_max = std::min(config.step_tokens_max, pool.step_tokens_max)};
  if (limits.step_tokens_max == 0 || limits.page_count == 0 || limits.page_size == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[engine] got {} tokens a step, {} pages of {} tokens, expected at "
                             "least 1 of each",
                             limits.step_tokens_max, limits.page_count, limits.page_size)};
  }
  if (!(config.gather_fraction >= 0.0 && config.gather_fraction <= 1.0)) {
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("[engine] got gather fraction {}, expected 0 to 1", config.gather_fraction)};
  }
  std::string layout;
  if (!config.snapshot_folder.empty()) {
    PIE_TRY_ASSIGN(layout, executor->layout_id());
  }
  const uint64_t seed = config.seed != 0 ? config.seed : random_seed();
  return std::unique_ptr<Engine>(std::make_unique<EngineImpl>(
      std::move(model), std::move(executor), limits, config, std::move(layout), seed, clock));
}

Result<std::unique_ptr<Engine>> Engine::create(std::shared_ptr<const model::Model> model,
                                               std::unique_ptr<exec::Executor> executor,
                                               const EngineConfig& config, const Clock& clock) {
  const uint32_t vocab_size = model->info().vocab_size;
  const uint32_t embedding_size = model->info().embedding_size;
  return make_engine(std::move(model), vocab_size, embedding_size, std::move(executor), config,
                     clock);
}

}  // namespace pie::engine
