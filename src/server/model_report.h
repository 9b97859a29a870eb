#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace pie::server {

/// What `pie model info` says of a model file.
struct ModelReport {
  struct Type {
    std::string name;
    uint32_t tensor_count = 0;
    uint64_t bytes = 0;
  };
  std::string name, description, family, quantisation, executor;
  uint64_t size_bytes = 0, parameter_count = 0;
  uint32_t shard_count = 1;
  uint32_t context_length = 0, layer_count = 0, embedding_size = 0, vocab_size = 0;
  uint32_t head_count = 0, kv_head_count = 0, head_size = 0;
  uint32_t sliding_window = 0, windowed_layer_count = 0;
  bool has_chat_template = false, has_tied_output = false;
  std::vector<std::string> stop_tokens;
  std::vector<Type> tensor_types;  ///< the one with the most bytes first
};

/// Loads the file; the error says why it cannot be served.
Result<ModelReport> report_model(const std::filesystem::path& file);

/// How fast the executor that serves a model is, alone.
struct ModelSpeed {
  uint32_t thread_count = 0;
  double prefill_tokens_per_second = 0;
  double decode_tokens_per_second = 0;
};

struct BenchOptions {
  uint32_t prompt_tokens = 512;
  uint32_t decode_tokens = 64;
  uint32_t repetitions = 5;  ///< the median counts
  std::vector<uint32_t> thread_counts;
};

/// Through the executor's interface, one sequence, no server: what a step costs, sampling aside.
/// kInvalidArgument for counts of 0 or a prompt beyond the model's context.
Result<std::vector<ModelSpeed>> bench_model(const std::filesystem::path& file,
                                            const BenchOptions& options);

}  // namespace pie::server
