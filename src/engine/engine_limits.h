#pragma once
#include <cstdint>

namespace pie::engine {

/// The bounds that commands are checked against.
struct EngineLimits {
  uint32_t vocab_size = 0;
  uint32_t embedding_size = 0;  ///< f32 values of an embedding slot
  uint32_t page_count = 0;
  uint32_t page_size = 0;
  uint32_t step_tokens_max = 0;
};

/// Embedding slots of all instances and of one: a program cannot fill the memory through them.
constexpr uint32_t kEmbeddingsCapacity = 16384;
constexpr uint32_t kEmbeddingsPerInstance = 1024;
/// Commands of one instance that wait in queues: a program that never waits for a result meets it.
constexpr uint32_t kCommandsPendingMax = 4096;

}  // namespace pie::engine
