#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "numerics/reference.h"
#include "numerics/subject.h"

namespace pie::test {

struct Prompt {
  std::string kind, text;
};

/// The twenty prompts of prompts.json.
const std::vector<Prompt>& twenty_prompts();

std::shared_ptr<const model::Model> default_model();

/// Tokens of the greedy continuation of each prompt.
inline constexpr uint32_t kContinuation = 64;
/// Context of the reference.
inline constexpr uint32_t kReferenceContext = 2048;

/// What llama.cpp makes of a prompt, alone.
struct ReferenceRun {
  std::vector<int32_t> ids;
  double surprise = 0.0;             ///< the sum of -log p of each token but the first
  std::vector<ReferenceStep> steps;  ///< [kContinuation]
};

/// What an executor of ours makes of it.
struct SubjectRun {
  double surprise = 0.0;
  std::vector<int32_t> tokens;  ///< [kContinuation]
};

/// The reference on the twenty prompts with the default model. Computed once in a program: every
/// test of every executor compares with the same runs.
const std::vector<ReferenceRun>& reference_runs();

/// The executor on the twenty prompts: the prompts one by one in steps of 512 tokens, the
/// continuations in one batch. Computed once for each executor, beside the reference's runs.
const std::vector<SubjectRun>& subject_runs(const ExecutorKind& kind);

/// The surprise of one of the prompts over pages of another format than F16.
double surprise_over(exec::KvFormat format, const ExecutorKind& kind, size_t prompt);

}  // namespace pie::test
