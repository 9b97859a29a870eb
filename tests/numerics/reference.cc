#include "numerics/reference.h"

#include <llama.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace pie::test {

void Reference::Free::operator()(llama_model* model) const { llama_model_free(model); }
void Reference::Free::operator()(llama_context* context) const { llama_free(context); }

Reference::Reference(const std::filesystem::path& model, uint32_t context_tokens,
                     uint32_t thread_count, ReferenceKernels kernels)
    : batch_max_(context_tokens) {
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_backend_init();
  llama_model_params model_params = llama_model_default_params();
  model_params.use_extra_bufts = kernels == ReferenceKernels::kDefault;
  model_.reset(llama_model_load_from_file(model.c_str(), model_params));
  if (!model_) throw std::runtime_error("reference: cannot load " + model.string());
  llama_context_params params = llama_context_default_params();
  params.n_ctx = context_tokens;
  params.n_batch = context_tokens;
  params.n_threads = static_cast<int32_t>(thread_count);
  params.n_threads_batch = static_cast<int32_t>(thread_count);
  context_.reset(llama_init_from_model(model_.get(), params));
  if (!context_) throw std::runtime_error("reference: cannot make a context");
}

Reference::~Reference() = default;

std::vector<int32_t> Reference::tokenize(std::string_view text) const {
  std::vector<int32_t> tokens(text.size() + 8);
  const int32_t count = llama_tokenize(llama_model_get_vocab(model_.get()), text.data(),
                                       static_cast<int32_t>(text.size()), tokens.data(),
                                       static_cast<int32_t>(tokens.size()), false, true);
  if (count < 0) throw std::runtime_error("reference: cannot tokenize");
  tokens.resize(static_cast<size_t>(count));
  return tokens;
}

std::vector<float> Reference::append(std::span<const int32_t> tokens, size_t position,
                                     uint32_t row_count) {
  if (tokens.empty() || position + tokens.size() > batch_max_) {
    throw std::runtime_error("reference: prompt does not fit the context");
  }
  const auto count = static_cast<int32_t>(tokens.size());
  llama_batch batch = llama_batch_init(count, 0, 1);
  batch.n_tokens = count;
  for (int32_t i = 0; i < count; ++i) {
    batch.token[i] = tokens[static_cast<size_t>(i)];
    batch.pos[i] = static_cast<int32_t>(position) + i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = i >= count - static_cast<int32_t>(row_count) ? 1 : 0;
  }
  const int32_t status = llama_decode(context_.get(), batch);
  llama_batch_free(batch);
  if (status != 0) throw std::runtime_error("reference: llama_decode failed");
  const float* rows = llama_get_logits(context_.get());
  return {rows, rows + size_t{row_count} * vocab_size()};
}

std::vector<float> Reference::prefill(std::span<const int32_t> tokens, uint32_t row_count) {
  llama_memory_clear(llama_get_memory(context_.get()), true);
  return append(tokens, 0, row_count);
}

std::vector<float> Reference::prefill_in_batches(std::span<const int32_t> tokens,
                                                 uint32_t batch_tokens) {
  llama_memory_clear(llama_get_memory(context_.get()), true);
  std::vector<float> logits;
  for (size_t at = 0; at < tokens.size(); at += batch_tokens) {
    const size_t count = std::min<size_t>(batch_tokens, tokens.size() - at);
    logits = append(tokens.subspan(at, count), at, 1);
  }
  return logits;
}

std::vector<float> Reference::decode(int32_t token) {
  if (llama_decode(context_.get(), llama_batch_get_one(&token, 1)) != 0) {
    throw std::runtime_error("reference: llama_decode failed");
  }
  const float* row = llama_get_logits(context_.get());
  return {row, row + vocab_size()};
}

std::vector<ReferenceStep> Reference::greedy(std::span<const int32_t> prompt, uint32_t count) {
  return greedy_after(prefill(prompt, 1), count);
}

std::vector<ReferenceStep> Reference::greedy_after(std::span<const float> logits, uint32_t count) {
  std::vector<ReferenceStep> steps;
  std::vector<float> next;
  while (steps.size() < count) {
    steps.push_back(best_two(logits));
    if (steps.size() == count) break;
    next = decode(steps.back().token);
    logits = next;
  }
  return steps;
}

void Reference::set_adapter(const std::filesystem::path& file) {
  llama_adapter_lora* adapter = nullptr;
  float scale = 1.0F;
  if (!file.empty()) {
    adapter = llama_adapter_lora_init(model_.get(), file.c_str());  // the model's to free
    if (adapter == nullptr)
      throw std::runtime_error("reference: cannot load the adapter " + file.string());
  }
  if (llama_set_adapters_lora(context_.get(), &adapter, adapter == nullptr ? 0 : 1, &scale) != 0)
    throw std::runtime_error("reference: cannot set the adapter " + file.string());
}

bool Reference::is_turn_end(int32_t token) const {
  return llama_vocab_is_eog(llama_model_get_vocab(model_.get()), token);
}

uint32_t Reference::vocab_size() const {
  return static_cast<uint32_t>(llama_vocab_n_tokens(llama_model_get_vocab(model_.get())));
}

ReferenceStep best_two(std::span<const float> logits) {
  constexpr float kLeast = -std::numeric_limits<float>::infinity();
  ReferenceStep step;
  float first = kLeast;
  float second = kLeast;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > first) {
      second = first;
      step.runner_up = step.token;
      first = logits[i];
      step.token = static_cast<int32_t>(i);
    } else if (logits[i] > second) {
      second = logits[i];
      step.runner_up = static_cast<int32_t>(i);
    }
  }
  step.margin = first - second;
  return step;
}

}  // namespace pie::test
