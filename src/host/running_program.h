#pragma once
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/engine.h"
#include "host/instance_state.h"
#include "host/running_instance.h"
#include "ports/http.h"
#include "wasm/runtime.h"

namespace pie::host {

/// How many instances run, those whose engines still clean up included. Thread-safe.
class InstanceCount {
 public:
  void enter();
  void leave();
  void wait_for_none();

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  size_t count_ = 0;
};

/// What programs run on.
struct ProgramMachinery {
  std::vector<engine::Engine*> engines;
  OutgoingHttp* http = nullptr;      ///< may be null
  wasm::Runtime* runtime = nullptr;  ///< until it is destroyed: not for the end of an instance
  InstanceCount running;
};

/// A component that runs, or is about to.
class RunningProgram final : public RunningInstance {
 public:
  RunningProgram(std::shared_ptr<ProgramMachinery> machinery,
                 std::shared_ptr<const wasm::Component> component,
                 std::unique_ptr<InstanceState> state);

  Result<void> start() override;
  Result<void> post_message(std::string text) override { return messages_->post(std::move(text)); }
  Result<void> post_blob(BlobRef blob) override { return blobs_->post(std::move(blob)); }
  uint64_t mailbox_bytes() const override { return messages_->bytes() + blobs_->bytes(); }
  void terminate(End end) override { ending_->terminate(std::move(end)); }
  std::vector<ModelUse> use_by_model() const override;
  uint64_t memory_bytes() const override;

 private:
  enum class Stage { kPrepared, kRuns, kEnded };
  struct Closing;

  wasm::InstanceSpec wasm_spec(std::unique_ptr<InstanceState> state);
  static void close_children(const std::shared_ptr<Closing>& closing);
  static void close_engines(const std::shared_ptr<Closing>& closing);

  const std::shared_ptr<ProgramMachinery> machinery_;
  const std::shared_ptr<const wasm::Component> component_;
  const InstanceId id_;
  const std::shared_ptr<Ending> ending_;
  const std::shared_ptr<Mailbox<std::string>> messages_;
  const std::shared_ptr<Mailbox<BlobRef>> blobs_;
  const std::shared_ptr<std::atomic<Stage>> stage_ =
      std::make_shared<std::atomic<Stage>>(Stage::kPrepared);
  std::unique_ptr<InstanceState> state_;  ///< until start()
};

}  // namespace pie::host
