#include "pie/forward.h"

#include "pie/lift.h"

namespace inferlet {

std::optional<std::vector<uint32_t>> PassResult::tokens() const {
  abi::Option<abi::U32s> out;
  abi::pass_result_get_tokens(handle_.get(), &out);
  if (out.has == 0) return std::nullopt;
  return lift::numbers(out.value);
}

std::optional<std::vector<Distribution>> PassResult::distributions() const {
  abi::Option<abi::Slice<abi::Distribution>> out;
  abi::pass_result_get_distributions(handle_.get(), &out);
  if (out.has == 0) return std::nullopt;
  std::vector<Distribution> all;
  all.reserve(out.value.size);
  for (uint32_t i = 0; i < out.value.size; ++i) {
    const abi::Distribution& in = out.value.data[i];
    all.push_back({lift::numbers(in.ids), lift::numbers(in.probabilities)});
  }
  if (out.value.size != 0) std::free(out.value.data);
  return all;
}

void ForwardPass::kv_cache(std::span<const uint32_t> pages, uint32_t last_page_length) {
  abi::kv_cache(handle_.get(), pages.data(), pages.size(), last_page_length);
}

void ForwardPass::input_tokens(std::span<const uint32_t> tokens,
                               std::span<const uint32_t> positions) {
  abi::input_tokens(handle_.get(), tokens.data(), tokens.size(), positions.data(),
                    positions.size());
}

void ForwardPass::attention_mask(std::span<const std::vector<uint32_t>> rows) {
  std::vector<abi::Slice<const uint32_t>> lent;
  lent.reserve(rows.size());
  for (const std::vector<uint32_t>& row : rows) {
    lent.push_back({row.data(), static_cast<uint32_t>(row.size())});
  }
  abi::attention_mask(handle_.get(), lent.data(), lent.size());
}

std::optional<PassResult> ForwardPass::execute() {
  abi::Option<abi::Handle> out;
  abi::forward_pass_execute(handle_.get(), &out);
  if (out.has == 0) return std::nullopt;
  return PassResult(out.value);
}

}  // namespace inferlet
