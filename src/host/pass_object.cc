#include "host/pass_object.h"

#include <fmt/format.h>

#include <algorithm>

namespace pie::host {
namespace {

/// Outputs of one pass: so many for each input token, and so many more.
constexpr uint64_t kOutputsPerInput = 4, kOutputsSpare = 1'024, kOutputsMax = 262'144;
/// Tokens of all distributions, logits and tokens with log-probabilities of one pass together:
/// 64 MiB of ids and numbers.
constexpr uint64_t kRankedMax = 8ULL << 20;

Error invalid(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

/// Of the sequence, with the pass's tokens.
uint64_t length_of(const engine::ForwardPass& pass, uint64_t page_size) {
  return pass.pages.empty() ? pass.inputs.size()
                            : (pass.pages.size() - 1) * page_size + pass.last_page_len;
}

uint64_t output_count(const engine::ForwardPass& pass) {
  return pass.tokens.size() + pass.distributions.size() + pass.logits.size() + pass.scores.size() +
         pass.entropies.size();
}

/// What one pass may ask for: the engine draws it in one go, and a call hands it over in one go.
Result<void> check_outputs(const engine::ForwardPass& pass, uint32_t vocab_size) {
  const uint64_t outputs = output_count(pass);
  const uint64_t outputs_max =
      std::min(kOutputsSpare + kOutputsPerInput * pass.inputs.size(), kOutputsMax);
  if (outputs > outputs_max)
    return invalid(
        fmt::format("[outputs] got {} tokens and distributions of {} input tokens, "
                    "expected at most {}; use several passes",
                    outputs, pass.inputs.size(), outputs_max));
  uint64_t ranked = 0;
  for (const engine::DistributionSlot& slot : pass.distributions) ranked += slot.top_k;
  if (ranked > kRankedMax)
    return invalid(
        fmt::format("[top-k] got distributions of {} tokens together, expected at most "
                    "{}; use several passes or a smaller top-k",
                    ranked, kRankedMax));
  for (const engine::LogitSlot& slot : pass.logits)
    ranked += slot.best == 0 ? vocab_size : slot.best;
  for (const engine::ScoreSlot& slot : pass.scores) ranked += slot.tokens.size();
  if (ranked > kRankedMax)
    return invalid(
        fmt::format("[outputs] got {} logits, ranked tokens and log-probabilities "
                    "together, expected at most {}; use several passes",
                    ranked, kRankedMax));
  return {};
}

}  // namespace

Result<std::optional<std::shared_ptr<PassResult>>> hand_over(InstanceState& state,
                                                             PassObject& self) {
  engine::ForwardPass pass = std::exchange(self.pass, {});
  pass.rules = self.rules.take();
  const bool has_adapter = std::exchange(self.adapter, nullptr) != nullptr;
  const bool has_seed = std::exchange(self.adapter_seed, std::nullopt).has_value();
  auto result = std::make_shared<PassResult>(std::move(self.charge), state.memory);
  PIE_TRY(self.charge.try_add(PassObject::kBytes));
  if (has_seed && !has_adapter)
    return invalid("[execute] got an adapter seed without an adapter, expected set-adapter, too");
  PIE_TRY(check_outputs(pass, self.vocab_size()));
  const ModelService& service = self.queue->service;
  state.context_note->look(length_of(pass, service.engine().page_size()), service);
  const bool has_output = output_count(pass) != 0;
  PIE_TRY(result->reserve_output(pass, self.vocab_size()));
  PIE_TRY(self.queue->engine().submit(
      self.queue->id, std::move(pass),
      [result, ending = state.ending](Result<engine::ForwardOutput> output) {
        if (output.ok())
          result->complete(std::move(*output));
        else
          ending->fail(output.error());
      }));
  if (!has_output) return std::optional<std::shared_ptr<PassResult>>();
  return std::optional(std::move(result));
}

}  // namespace pie::host
