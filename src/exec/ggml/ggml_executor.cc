#include "exec/ggml_executor.h"

#include <fmt/format.h>
#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml-cpu.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

#include "base/machine.h"
#include "exec/ggml/batch_plan.h"
#include "exec/ggml/ggml_weights.h"
#include "exec/ggml/kv_pool.h"
#include "exec/ggml/step_graph.h"
#include "exec/pool_bound.h"
#include "exec/thread_chooser.h"
#include "model/architecture.h"

namespace pie::exec {
namespace {

struct ThreadpoolDeleter {
  void operator()(ggml_threadpool* pool) const { ggml_threadpool_free(pool); }
};

template <class T>
void fill(ggml_tensor* tensor, const std::vector<T>& values) {
  // The allocator leaves inputs out that no node reads.
  if (tensor == nullptr || tensor->data == nullptr) return;
  PIE_CHECK(ggml_nbytes(tensor) == values.size() * sizeof(T));
  std::memcpy(tensor->data, values.data(), values.size() * sizeof(T));
}

class GgmlExecutor final : public LogitsExecutor {
 public:
  GgmlExecutor(std::shared_ptr<const model::Model> model, const ExecutorConfig& config, KvPool pool,
               GgmlWeights weights)
      : model_(std::move(model)),
        config_(config),
        pool_(std::move(pool)),
        weights_(std::move(weights)),
        graph_(model_->architecture(), weights_, pool_),
        chooser_(config_.thread_count) {}

  Result<void> start();
  Result<StepOutput> execute(const StepBatch& batch) override;
  void clear_pages(std::span<const KvPageId> pages) override { pool_.clear(pages); }
  void copy_pages(std::span<const KvPageId> from, std::span<const KvPageId> to) override {
    pool_.copy(from, to);
  }
  void read_page(KvPageId page, std::span<std::byte> bytes) const override {
    pool_.read(page, bytes);
  }
  void write_page(KvPageId page, std::span<const std::byte> bytes) override {
    pool_.write(page, bytes);
  }
  Result<std::string> layout_id() const override {
    PIE_TRY_ASSIGN(const ContentHash hash, model_->content_hash());
    return fmt::format("ggml f16 {} {}", config_.page_size, hash.hex());
  }
  const ExecutorConfig& config() const override { return config_; }
  uint64_t page_bytes() const override { return pool_.page_bytes(); }

 private:
  void fill_inputs(const BatchPlan& plan);
  ggml_status compute(ggml_cgraph* graph, uint32_t row_count);

  std::shared_ptr<const model::Model> model_;
  ExecutorConfig config_;
  KvPool pool_;
  GgmlWeights weights_;
  StepGraph graph_;
  ThreadChooser chooser_;
  std::unique_ptr<ggml_threadpool, ThreadpoolDeleter> threads_;
  ggml_backend_ptr backend_;
  ggml_gallocr_ptr allocator_;
};

Result<void> GgmlExecutor::start() {
  // How long a worker spins for the next step before it sleeps (0 to 100): short, because programs
  // run on the same cores between steps.
  constexpr uint32_t kPoll = 5;
  ggml_threadpool_params params =
      ggml_threadpool_params_default(static_cast<int>(config_.thread_count));
  params.poll = kPoll;
  threads_.reset(ggml_threadpool_new(&params));
  backend_.reset(ggml_backend_cpu_init());
  if (!threads_ || !backend_) {
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[ggml] got no backend with {} threads: configure fewer threads",
                             config_.thread_count)};
  }
  ggml_backend_cpu_set_threadpool(backend_.get(), threads_.get());
  allocator_.reset(ggml_gallocr_new(ggml_backend_get_default_buffer_type(backend_.get())));
  return {};
}

void GgmlExecutor::fill_inputs(const BatchPlan& plan) {
  const StepTensors& in = graph_.tensors();
  fill(in.ids, plan.ids);
  fill(in.positions, plan.positions);
  fill(in.slots, plan.slots);
  fill(in.output_rows, plan.output_rows);
  fill(in.pages, plan.pages);
  fill(in.mask, plan.mask);
  fill(in.embedding_rows, plan.embedding_rows);
  for (size_t i = 0; i < plan.embeddings.size(); ++i) {
    std::memcpy(static_cast<std::byte*>(in.embeddings->data) + i * in.embeddings->nb[1],
                plan.embeddings[i], in.embeddings->nb[1]);
  }
}

ggml_status GgmlExecutor::compute(ggml_cgraph* graph, uint32_t row_count) {
  const uint32_t threads = chooser_.choose(row_count);
  ggml_backend_cpu_set_n_threads(backend_.get(), static_cast<int>(threads));
  const auto start = std::chrono::steady_clock::now();
  const ggml_status status = ggml_backend_graph_compute(backend_.get(), graph);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  chooser_.report(row_count, threads, took.count());
  return status;
}

Result<StepOutput> GgmlExecutor::execute(const StepBatch& batch) {
  // Gathered K (and as much V) of a group that still stays in a core's share of the caches.
  constexpr uint32_t kGatherSlotsMax = 4096;
  const BatchPlan plan =
      plan_batch(batch, pool_.layout(), kGatherSlotsMax, model_->architecture().sliding_window);
  if (plan.row_count() == 0) return StepOutput{};
  PIE_CHECK(plan.row_count() <= config_.step_tokens_max);
  ggml_cgraph* graph = graph_.build(plan);
  if (!ggml_gallocr_alloc_graph(allocator_.get(), graph)) {
    // What it has allocated by then it would take for whole.
    allocator_.reset(ggml_gallocr_new(ggml_backend_get_default_buffer_type(backend_.get())));
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[step] got no memory for {} tokens in {} slices: configure a smaller "
                             "step budget",
                             plan.row_count(), batch.slices.size())};
  }
  fill_inputs(plan);
  const ggml_status status = compute(graph, plan.row_count());
  if (status != GGML_STATUS_SUCCESS) {
    return Error{ErrorCode::kInternal,
                 fmt::format("[step] got '{}' from ggml", ggml_status_to_string(status))};
  }
  StepOutput output;
  const StepTensors& out = graph_.tensors();
  if (out.logits != nullptr) {
    output.logits = {static_cast<const float*>(out.logits->data),
                     static_cast<size_t>(ggml_nelements(out.logits))};
  }
  if (plan.output_rows.size() > plan.logit_count) {
    const auto width = static_cast<size_t>(out.normed->ne[0]);
    output.hidden = {static_cast<const float*>(out.normed->data) + width * plan.logit_count,
                     width * (plan.output_rows.size() - plan.logit_count)};
  }
  return output;
}

Error unsupported(std::string_view what) {
  return {ErrorCode::kUnsupported,
          fmt::format("[ggml executor] got a model with {}, which is not served", what)};
}

/// What the description can say and these graphs do not compute.
Result<void> check_architecture(const model::Architecture& a) {
  if (a.key_size % 2 != 0 || a.value_size % 2 != 0) return unsupported("heads of odd size");
  return {};
}

}  // namespace

Result<std::unique_ptr<LogitsExecutor>> make_ggml_executor(
    std::shared_ptr<const model::Model> model, const ExecutorConfig& config) {
  PIE_TRY(check_architecture(model->architecture()));
  if (config.page_count == 0 || config.page_size == 0 || config.step_tokens_max == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[executor] got {} pages of {} tokens and steps of {}, expected at "
                             "least one each",
                             config.page_count, config.page_size, config.step_tokens_max)};
  }
  if (config.kv_format != KvFormat::kF16) {
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("[ggml executor] got K/V pages of {}, expected f16: leave kv_format at "
                    "f16, or serve a model that the native executor serves",
                    kv_format_name(config.kv_format))};
  }
  ExecutorConfig used = config;
  if (used.thread_count == 0)
    used.thread_count = static_cast<uint32_t>(Machine::read().threads.value);
  used.thread_count = std::min<uint32_t>(used.thread_count, GGML_MAX_N_THREADS);
  try {
    PIE_TRY_ASSIGN(KvPool pool, KvPool::create(model->architecture(), used));
    PIE_TRY_ASSIGN(GgmlWeights weights, GgmlWeights::load(model->weights()));
    auto executor =
        std::make_unique<GgmlExecutor>(model, used, std::move(pool), std::move(weights));
    PIE_TRY(executor->start());
    return std::unique_ptr<LogitsExecutor>(std::move(executor));
  } catch (const std::bad_alloc&) {
    return load_refused(model->weights().size_bytes());
  }
}

}  // namespace pie::exec
