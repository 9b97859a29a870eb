#include "server/model_report.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "exec/open_executor.h"
#include "model/architecture.h"
#include "model/chat_template.h"
#include "model/model.h"

namespace pie::server {
namespace {

constexpr uint32_t kPageTokens = 16;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// One sequence of tokens that do not repeat, from the start of the pool.
class BenchSequence {
 public:
  BenchSequence(exec::Executor& executor, uint32_t vocab_size)
      : executor_(executor), vocab_size_(vocab_size) {
    for (uint32_t page = 0; page < executor.config().page_count; ++page) pages_.emplace_back(page);
  }
  void restart(uint32_t seed) {
    length_ = 0;
    seed_ = seed;
  }
  /// Appends tokens in one step and asks for the last one's logits.
  Result<void> append(uint32_t count) {
    std::vector<exec::StepToken> tokens;
    for (uint32_t i = 0; i < count; ++i) {
      seed_ = seed_ * 1664525 + 1013904223;  // Numerical Recipes' generator
      tokens.push_back({.id = (seed_ >> 8) % vocab_size_, .position = length_ + i});
    }
    exec::StepBatch batch;
    batch.slices.push_back({tokens, pages_, length_, {}, {count - 1}, {}});
    length_ += count;
    PIE_TRY_ASSIGN(const exec::StepTicket step, executor_.submit(batch));
    PIE_TRY(executor_.collect(step));
    return {};
  }

 private:
  exec::Executor& executor_;
  const uint32_t vocab_size_;
  std::vector<KvPageId> pages_;
  uint32_t length_ = 0, seed_ = 0;
};

Result<ModelSpeed> measure(std::shared_ptr<const model::Model> model, const BenchOptions& options,
                           uint32_t threads) {
  const uint32_t tokens = options.prompt_tokens + options.decode_tokens;
  const uint32_t vocab_size = model->info().vocab_size;
  PIE_TRY_ASSIGN(const auto executor,
                 exec::open_executor(std::move(model), {.page_count = tokens / kPageTokens + 1,
                                                        .page_size = kPageTokens,
                                                        .step_tokens_max = options.prompt_tokens,
                                                        .thread_count = threads}));
  BenchSequence sequence(*executor, vocab_size);
  std::vector<double> prefill;
  std::vector<double> decode;
  for (uint32_t round = 0; round <= options.repetitions; ++round) {
    sequence.restart(round);
    auto start = std::chrono::steady_clock::now();
    PIE_TRY(sequence.append(options.prompt_tokens));
    const double prompt_seconds = seconds_since(start);
    start = std::chrono::steady_clock::now();
    for (uint32_t i = 0; i < options.decode_tokens; ++i) PIE_TRY(sequence.append(1));
    if (round == 0) continue;  // pages of memory and file are touched for the first time
    prefill.push_back(options.prompt_tokens / prompt_seconds);
    decode.push_back(options.decode_tokens / seconds_since(start));
  }
  return ModelSpeed{threads, median(std::move(prefill)), median(std::move(decode))};
}

}  // namespace

Result<ModelReport> report_model(const std::filesystem::path& file) {
  PIE_TRY_ASSIGN(const auto model, model::Model::load(file));
  const model::ModelInfo& info = model->info();
  const model::Architecture& a = model->architecture();
  ModelReport report;
  report.name = info.id;
  report.description = info.description;
  report.family = a.family;
  report.quantisation = info.quantisation;
  report.executor = exec::executor_kind_for(*model).name;
  report.size_bytes = info.size_bytes;
  report.parameter_count = info.parameter_count;
  report.shard_count = info.shard_count;
  report.context_length = info.context_length;
  report.layer_count = a.layer_count;
  report.embedding_size = a.embedding_size;
  report.vocab_size = a.vocab_size;
  report.head_count = a.head_count;
  report.kv_head_count = a.kv_head_count;
  report.head_size = a.key_size;
  report.sliding_window = a.sliding_window;
  report.windowed_layer_count =
      static_cast<uint32_t>(std::count(a.is_windowed.begin(), a.is_windowed.end(), true));
  report.has_chat_template = !model->chat_template().source().empty();
  report.has_tied_output = a.has_tied_output;
  report.stop_tokens = info.stop_tokens;
  for (const auto& [name, use] : info.tensor_types)
    report.tensor_types.push_back({name, use.tensor_count, use.bytes});
  std::stable_sort(report.tensor_types.begin(), report.tensor_types.end(),
                   [](const auto& x, const auto& y) { return x.bytes > y.bytes; });
  return report;
}

Result<std::vector<ModelSpeed>> bench_model(const std::filesystem::path& file,
                                            const BenchOptions& options) {
  PIE_TRY_ASSIGN(const auto model, model::Model::load(file));
  const uint64_t tokens = uint64_t{options.prompt_tokens} + options.decode_tokens;
  if (options.prompt_tokens == 0 || options.decode_tokens == 0 || options.repetitions == 0 ||
      tokens > model->info().context_length) {
    return Error{ErrorCode::kInvalidArgument,
                 "[bench] got " + std::to_string(options.prompt_tokens) + " prompt tokens, " +
                     std::to_string(options.decode_tokens) + " more and " +
                     std::to_string(options.repetitions) +
                     " repetitions, expected at least one each, and no more tokens than the "
                     "model's context of " +
                     std::to_string(model->info().context_length)};
  }
  std::vector<ModelSpeed> speeds;
  for (const uint32_t threads : options.thread_counts) {
    PIE_TRY_ASSIGN(const ModelSpeed speed, measure(model, options, threads));
    speeds.push_back(speed);
  }
  return speeds;
}

}  // namespace pie::server
