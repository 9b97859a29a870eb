#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace pie::host::test {

/// An engine whose passes the test answers. The model's file is real; nothing is computed.
class ScriptedEngine final : public engine::Engine {
 public:
  struct Submitted {
    engine::ForwardPass pass;
    engine::ForwardCallback done;
  };

  explicit ScriptedEngine(std::shared_ptr<const model::Model> model) : model_(std::move(model)) {}

  const model::Model& model() const override { return *model_; }
  uint32_t page_size() const override { return 16; }
  void open_instance(InstanceId, const engine::InstanceOptions&) override { ++open_count; }
  void close_instance(InstanceId, std::function<void()> closed) override {
    --open_count;
    std::unique_lock lock(mutex_);
    if (hold_closed_) return held_closed_.push_back(std::move(closed));
    lock.unlock();
    closed();
  }
  void instance_blocked(InstanceId) override { ++blocked_count; }

  QueueId create_queue(InstanceId) override { return QueueId(++last_queue_); }
  void close_queue(QueueId) override { ++closed_queue_count; }
  void set_priority(QueueId, engine::Priority) override {}
  Result<std::vector<uint32_t>> allocate(QueueId, uint32_t type, uint32_t count) override {
    if (count > 1000) return Error{ErrorCode::kResourceExhausted, "KV pages: used 0, allowed 1000"};
    std::vector<uint32_t> pointers(count);
    for (uint32_t i = 0; i < count; ++i) pointers[i] = i;
    return pointers;
  }
  Result<void> deallocate(QueueId, uint32_t, std::span<const uint32_t>) override { return {}; }
  Result<void> export_resources(QueueId, uint32_t, std::span<const uint32_t>,
                                const std::string&) override {
    return Error{ErrorCode::kAlreadyExists, "scripted refusal"};
  }
  Result<std::vector<uint32_t>> import_resources(QueueId, uint32_t, const std::string&) override {
    return std::vector<uint32_t>{7, 8};
  }
  Result<void> release_exported(QueueId, uint32_t, const std::string&) override { return {}; }
  Result<std::vector<engine::ExportedName>> exported(QueueId, uint32_t) override {
    return std::vector<engine::ExportedName>{{"one", 1}, {"two", 2}};
  }
  Result<model::AdapterRef> adapter(std::string_view, QueueId, uint32_t) override {
    std::lock_guard lock(mutex_);
    return adapter_;
  }
  Result<void> put_adapter(std::string_view, QueueId, uint32_t, model::AdapterRef made) override {
    std::lock_guard lock(mutex_);
    adapter_ = std::move(made);
    return {};
  }
  Result<void> submit(QueueId, engine::ForwardPass pass, engine::ForwardCallback done) override {
    std::lock_guard lock(mutex_);
    passes.push_back({std::move(pass), std::move(done)});
    arrived_.notify_all();
    return {};
  }
  Result<void> synchronize(QueueId, std::function<void(bool)> done) override {
    done(true);
    return {};
  }
  Result<void> save_snapshot(QueueId, engine::SnapshotRequest request,
                             engine::SnapshotSaved done) override {
    saved = std::move(request);
    done({});
    return {};
  }
  Result<void> load_snapshot(QueueId, const std::string& name,
                             engine::SnapshotLoaded done) override {
    if (name != saved.name) return Error{ErrorCode::kNotFound, "[snapshot] got another name"};
    done(engine::LoadedSnapshot{saved.pages, saved.last_page_len, saved.tokens});
    return {};
  }
  Result<std::vector<engine::SnapshotInfo>> list_snapshots(QueueId) override {
    std::vector<engine::SnapshotInfo> list(1);
    list[0].name = saved.name;
    return list;
  }
  Result<void> remove_snapshot(QueueId, const std::string&) override { return {}; }
  engine::PrefixSavings prefix_savings(InstanceId) const override { return {}; }
  uint32_t kv_pages_used(InstanceId) const override { return 3; }
  engine::EngineStats stats() const override { return {}; }

  /// The next pass that a program submits.
  Submitted next_pass() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !passes.empty(); });
    Submitted next = std::move(passes.front());
    passes.pop_front();
    return next;
  }
  /// Keeps the `closed` callbacks back, as an engine does until its step in flight ends.
  void hold_closed() {
    std::lock_guard lock(mutex_);
    hold_closed_ = true;
  }
  void release_closed() {
    std::vector<std::function<void()>> held;
    {
      std::lock_guard lock(mutex_);
      hold_closed_ = false;
      held.swap(held_closed_);
    }
    for (auto& closed : held) closed();
  }

  std::atomic<int> open_count{0}, blocked_count{0}, closed_queue_count{0};
  std::deque<Submitted> passes;
  engine::SnapshotRequest saved;  ///< the last one

 private:
  std::shared_ptr<const model::Model> model_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  model::AdapterRef adapter_;  // of every pointer
  std::atomic<uint32_t> last_queue_{0};
  bool hold_closed_ = false;
  std::vector<std::function<void()>> held_closed_;
};

}  // namespace pie::host::test
