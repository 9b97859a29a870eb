#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "exec/executor.h"
#include "sample/sampler.h"

namespace pie::exec {

/// Some of what a slice asks for: requests [begin, end), counted over all kinds in the order of
/// RowAnswerer::answer().
struct AskedPart {
  const StepSlice* slice;
  std::span<const float> logits;  ///< f32 [logit_rows, n_vocab]
  SliceResult* result;
  uint32_t begin, end;
  uint32_t first_detail;  ///< where SliceResult::details has those of the part
};

/// Cuts what a slice asks for into parts, and makes room for their answers: parts of one slice may
/// be answered at once.
void add_parts(const StepSlice& slice, std::span<const float> logits, SliceResult& result,
               std::vector<AskedPart>& parts);

/// Answers requests from logits in memory. Keeps scratch memory: one object per thread.
class RowAnswerer {
 public:
  /// Throws std::bad_alloc.
  void answer(const AskedPart& part);

 private:
  std::span<const float> ruled(const AskedPart& part, uint32_t row);
  void draw(const AskedPart& part, size_t i);
  void rank(const AskedPart& part, size_t i);

  sample::Sampler sampler_;
  std::vector<float> scratch_;       // a row with its rules applied
  const float* ruled_of_ = nullptr;  // the row that it was made of, within a part
  std::span<const float> ruled_;
  size_t next_detail_ = 0;
};

}  // namespace pie::exec
