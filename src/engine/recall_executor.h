#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "exec/logits_executor.h"

namespace pie::engine {

/// What a test may watch and hold of a RecallExecutor that the engine owns.
struct RecallProbe {
  std::mutex mutex;
  std::condition_variable changed;
  bool hold = false;                         // steps stop before they compute
  bool fail_next = false;                    // the next step is an error
  std::set<uint32_t> no_memory_for;          // steps with a slice that begins with one of these
  uint64_t entered = 0;                      // steps begun
  std::function<void()> during_step;         // set before the first step
  std::vector<std::vector<uint32_t>> steps;  // token counts of the slices, by step
  std::vector<uint32_t> first_tokens;  // id of the first token of each slice, in order of execution

  void hold_steps() {
    const std::lock_guard lock(mutex);
    hold = true;
  }
  void release_steps() {
    const std::lock_guard lock(mutex);
    hold = false;
    changed.notify_all();
  }
  /// Returns when `count` steps have begun.
  void wait_entered(uint64_t count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return entered >= count; });
  }
  size_t step_count() {
    const std::lock_guard lock(mutex);
    return steps.size();
  }
};

/// An executor for tests of the loop: its pages hold token ids, and the next token of a sequence is
/// a hash of all tokens that the row attends to. So every fault of paging, order, masks or batching
/// changes the tokens. It refuses (by a failed check) two writes to one slot in a step.
class RecallExecutor final : public exec::LogitsExecutor {
 public:
  static constexpr uint32_t kVocab = 1000;
  static constexpr uint32_t kEmbedding = 4;

  RecallExecutor(const exec::ExecutorConfig& config, std::shared_ptr<RecallProbe> probe);
  Result<exec::StepOutput> execute(const exec::StepBatch& batch) override;
  void clear_pages(std::span<const KvPageId> pages) override;
  void copy_pages(std::span<const KvPageId> from, std::span<const KvPageId> to) override;
  void read_page(KvPageId page, std::span<std::byte> bytes) const override;
  void write_page(KvPageId page, std::span<const std::byte> bytes) override;
  Result<std::string> layout_id() const override;
  const exec::ExecutorConfig& config() const override { return config_; }
  uint64_t page_bytes() const override { return config_.page_size * sizeof(uint32_t); }

  /// The token that follows `attended`, (slot, token id) in slot order, as the executor has it.
  static TokenId next_token(const std::vector<std::pair<uint32_t, TokenId>>& attended);

 private:
  void run_slice(const exec::StepSlice& slice, std::set<uint64_t>& written);

  const exec::ExecutorConfig config_;
  const std::shared_ptr<RecallProbe> probe_;
  std::vector<TokenId> slots_;
  std::vector<float> logits_;
  std::vector<float> hidden_;
};

}  // namespace pie::engine
