#include "exec/native_executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <system_error>

#include "base/check.h"
#include "base/machine.h"
#include "base/thread_pool.h"
#include "exec/native/kv_pages.h"
#include "exec/native/native_weights.h"
#include "exec/native/step_plan.h"
#include "exec/native/step_runner.h"
#include "exec/pool_bound.h"
#include "exec/thread_chooser.h"
#include "kernels/isa.h"
#include "model/architecture.h"

namespace pie::exec {
namespace {

class NativeExecutor final : public LogitsExecutor {
 public:
  NativeExecutor(std::shared_ptr<const model::Model> model, const ExecutorConfig& config,
                 KvPages pages, NativeWeights weights)
      : model_(std::move(model)),
        config_(config),
        pages_(std::move(pages)),
        weights_(std::move(weights)),
        plan_(AttentionStep::item_rows_max(model_->architecture()), pages_.first_scratch_page()),
        runner_(model_->architecture(), weights_, pages_, kernels::best_isa(),
                config_.step_tokens_max, config_.thread_count),
        chooser_(config_.thread_count),
        threads_(config_.thread_count) {}

  Result<StepOutput> execute(const StepBatch& batch) override;
  void clear_pages(std::span<const KvPageId> pages) override { pages_.clear(pages); }
  void copy_pages(std::span<const KvPageId> from, std::span<const KvPageId> to) override {
    pages_.copy(from, to);
  }
  void read_page(KvPageId page, std::span<std::byte> bytes) const override {
    pages_.read(page, bytes);
  }
  void write_page(KvPageId page, std::span<const std::byte> bytes) override {
    pages_.write(page, bytes);
  }
  Result<std::string> layout_id() const override {
    PIE_TRY_ASSIGN(const ContentHash hash, model_->content_hash());
    return fmt::format("native {} {} {}", kv_format_name(config_.kv_format), config_.page_size,
                       hash.hex());
  }
  const ExecutorConfig& config() const override { return config_; }
  uint64_t page_bytes() const override { return pages_.page_bytes(); }

 protected:
  void for_each(uint32_t count,
                const std::function<void(uint32_t thread, uint32_t index)>& task) override {
    threads_.for_each(last_threads_, count, task);
  }

 private:
  std::shared_ptr<const model::Model> model_;
  ExecutorConfig config_;
  KvPages pages_;
  NativeWeights weights_;
  StepPlan plan_;
  StepRunner runner_;
  ThreadChooser chooser_;
  ThreadPool threads_;
  uint32_t last_threads_ = 1;  ///< of the last step: no more than the machine has to spare
  const std::function<void(Team&)> job_ = [this](Team& team) { runner_.run(team, plan_); };
};

Result<StepOutput> NativeExecutor::execute(const StepBatch& batch) {
  plan_.build(batch);
  const uint32_t rows = plan_.row_count();
  if (rows == 0) return StepOutput{};
  PIE_CHECK(rows <= config_.step_tokens_max);
  PIE_CHECK(plan_.scratch_page_count() <= config_.scratch_pages());
  runner_.reserve(plan_);
  const uint32_t threads = chooser_.choose(rows);
  const auto start = std::chrono::steady_clock::now();
  threads_.run(threads, job_);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  chooser_.report(rows, threads, took.count());
  last_threads_ = threads;
  return runner_.output(plan_);
}

}  // namespace

bool native_executor_serves(const model::Model& model) {
  return kernels::best_isa() != kernels::Isa::kScalar && NativeWeights::check(model).ok();
}

Result<std::unique_ptr<LogitsExecutor>> make_native_executor(
    std::shared_ptr<const model::Model> model, const ExecutorConfig& config) {
  if (config.page_count == 0 || config.page_size == 0 || config.step_tokens_max == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[executor] got {} pages of {} tokens and steps of {}, expected at "
                             "least one each",
                             config.page_count, config.page_size, config.step_tokens_max)};
  }
  if (config.page_size != kernels::kPageTokens) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[native executor] got pages of {} tokens, expected {}",
                             config.page_size, kernels::kPageTokens)};
  }
  ExecutorConfig used = config;
  if (used.thread_count == 0)
    used.thread_count = static_cast<uint32_t>(Machine::read().threads.value);
  try {
    PIE_TRY_ASSIGN(KvPages pages, KvPages::create(model->architecture(), used));
    PIE_TRY_ASSIGN(NativeWeights weights, NativeWeights::pack(*model));
    return std::unique_ptr<LogitsExecutor>(
        std::make_unique<NativeExecutor>(model, used, std::move(pages), std::move(weights)));
  } catch (const std::bad_alloc&) {
    return load_refused(model->weights().size_bytes());
  } catch (const std::system_error& error) {  // a thread
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[executor] got '{}' for {} threads, expected the machine to give "
                             "them: configure fewer (model_threads)",
                             error.what(), used.thread_count)};
  }
}

}  // namespace pie::exec
