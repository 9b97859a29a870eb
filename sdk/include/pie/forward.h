#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "pie/handle.h"
#include "pie/model.h"

namespace inferlet {

/// The best tokens of one position, most probable first.
struct Distribution {
  std::vector<uint32_t> ids;
  std::vector<float> probabilities;
};

/// What a forward pass gave; ask after wait().
class PassResult {
 public:
  explicit PassResult(abi::Handle handle) : handle_(handle) {}
  abi::Handle handle() const { return handle_.get(); }
  Pollable pollable() const { return Pollable(abi::pass_result_pollable(handle_.get())); }
  void wait() const { pollable().block(); }
  /// Each takes what is there: a second call gives nothing. None before it is ready.
  std::optional<std::vector<uint32_t>> tokens() const;
  std::optional<std::vector<Distribution>> distributions() const;

 private:
  OwnedHandle<abi::pass_result_drop> handle_;
};

/// One forward pass, to be filled, executed, and filled again (inferlet:core/forward).
class ForwardPass {
 public:
  explicit ForwardPass(const Queue& queue) : handle_(abi::create_forward_pass(queue.handle())) {}
  abi::Handle handle() const { return handle_.get(); }

  /// The pages of the whole sequence, with room for this pass's tokens.
  void kv_cache(std::span<const uint32_t> pages, uint32_t last_page_length);
  void input_tokens(std::span<const uint32_t> tokens, std::span<const uint32_t> positions);
  /// One row per input token: run lengths over the slots from 0, attend first, then masked, ...
  void attention_mask(std::span<const std::vector<uint32_t>> rows);
  /// None when nothing was asked for; the pass runs all the same.
  std::optional<PassResult> execute();

 private:
  OwnedHandle<abi::forward_pass_drop> handle_;
};

}  // namespace inferlet
