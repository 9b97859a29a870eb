#include "engine/step.h"

#include <algorithm>
#include <new>

#include "base/log.h"

namespace pie::engine {
namespace {

bool contains(const sched::PassChunk& chunk, uint32_t index) {
  return index >= chunk.first_token && index - chunk.first_token < chunk.token_count;
}

/// The rows of a pass that lie in the chunk, as indices of the chunk.
std::vector<uint32_t> rows_in(std::span<const uint32_t> rows, const sched::PassChunk& chunk) {
  const auto first = std::lower_bound(rows.begin(), rows.end(), chunk.first_token);
  const auto end = std::lower_bound(first, rows.end(), chunk.first_token + chunk.token_count);
  std::vector<uint32_t> result(first, end);
  for (uint32_t& row : result) row -= chunk.first_token;
  return result;
}

/// What a draw depends on: the program's seed and position, or whose draw it is.
sample::DrawKey draw_key(const TokenSlot& slot, uint64_t seed, const PassCommand& pass, size_t i) {
  constexpr uint64_t kSeededDomain = 0x5EEDED0000000000ULL;  // no instance has that id
  if (slot.draw) return {slot.draw->seed, kSeededDomain, slot.draw->position, 0};
  return {seed, pass.instance.value, pass.number, i};
}

/// What the pass asks of the tokens in the chunk.
void add_requests(const PassCommand& pass, const sched::PassChunk& chunk, uint64_t seed,
                  exec::StepSlice& slice) {
  const uint32_t first = chunk.first_token;
  for (size_t i = 0; i < pass.token_slots.size(); ++i) {
    const TokenSlot& slot = pass.token_slots[i];
    if (!contains(chunk, slot.index)) continue;
    slice.token_requests.push_back(
        {slot.index - first, slot.sampler, draw_key(slot, seed, pass, i), slot.wants_details});
  }
  for (const DistributionSlot& slot : pass.distribution_slots) {
    if (!contains(chunk, slot.index)) continue;
    slice.distribution_requests.push_back({slot.index - first, slot.temperature, slot.top_k});
  }
  for (const RowRules& one : pass.rules) {
    if (contains(chunk, one.index))
      slice.ruled_rows.push_back({one.index - first, one.rules.get()});
  }
  for (const LogitSlot& slot : pass.logit_slots) {
    if (contains(chunk, slot.index))
      slice.logit_requests.push_back({slot.index - first, slot.best});
  }
  for (const ScoreSlot& slot : pass.score_slots) {
    if (contains(chunk, slot.index))
      slice.score_requests.push_back({slot.index - first, slot.tokens});
  }
  for (const uint32_t row : pass.entropy_rows) {
    if (contains(chunk, row)) slice.entropy_rows.push_back(row - first);
  }
}

/// Moves what a chunk gave to the places of its slots, given the index of each slot.
template <class Answer, class Slots, class IndexOf>
void take_answers(const sched::PassChunk& chunk, std::vector<Answer>& given, const Slots& slots,
                  IndexOf index_of, std::vector<Answer>& places) {
  auto next = given.begin();
  for (size_t i = 0; i < slots.size() && next != given.end(); ++i) {
    if (contains(chunk, index_of(slots[i]))) places[i] = std::move(*next++);
  }
}

/// The details that a chunk gave: places and answers have those alone that want them.
void take_details(const sched::PassChunk& chunk, const std::vector<sample::TokenDetails>& given,
                  const PassCommand& pass, std::vector<sample::TokenDetails>& places) {
  auto next = given.begin();
  auto place = places.begin();
  for (const TokenSlot& slot : pass.token_slots) {
    if (!slot.wants_details) continue;
    if (contains(chunk, slot.index)) *place = *next++;
    ++place;
  }
}

}  // namespace

exec::StepSlice StepComputer::build_slice(const StepPart& part) const {
  const sched::PassChunk& chunk = *part.chunk;
  PassCommand& pass = *part.pass;
  const uint32_t first = chunk.first_token;
  for (uint32_t i = first; i < first + chunk.token_count && !pass.input_slots.empty(); ++i) {
    if (const auto& slot = pass.input_slots[i]) pass.tokens[i].embedding = embeddings_.read(*slot);
  }
  exec::StepSlice slice;
  slice.tokens = std::span(pass.tokens).subspan(first, chunk.token_count);
  slice.pages = chunk.pages;
  slice.context_len = chunk.context_len;
  slice.adapter = pass.adapter.get();
  if (!pass.mask.empty()) slice.mask = std::span(pass.mask).subspan(first, chunk.token_count);
  slice.logit_rows = rows_in(pass.logit_rows, chunk);
  slice.hidden_rows = rows_in(pass.hidden_rows, chunk);
  add_requests(pass, chunk, seed_, slice);
  return slice;
}

exec::StepBatch StepComputer::build_batch(std::span<const StepPart> parts) const {
  exec::StepBatch batch;
  batch.slices.reserve(parts.size());
  for (const StepPart& part : parts) batch.slices.push_back(build_slice(part));
  return batch;
}

/// Into the pass's output and the embedding slots that it names.
void StepComputer::take(const StepPart& part, exec::SliceResult& result) {
  const sched::PassChunk& chunk = *part.chunk;
  PassCommand& pass = *part.pass;
  ForwardOutput& output = pass.output;
  const auto index_of = [](const auto& slot) { return slot.index; };
  const auto itself = [](uint32_t index) { return index; };
  take_answers(chunk, result.tokens, pass.token_slots, index_of, output.tokens);
  take_answers(chunk, result.distributions, pass.distribution_slots, index_of,
               output.distributions);
  take_answers(chunk, result.logits, pass.logit_slots, index_of, output.logits);
  take_answers(chunk, result.scores, pass.score_slots, index_of, output.scores);
  take_answers(chunk, result.entropies, pass.entropy_rows, itself, output.entropies);
  if (!output.details.empty()) take_details(chunk, result.details, pass, output.details);
  const auto first =
      std::lower_bound(pass.hidden_rows.begin(), pass.hidden_rows.end(), chunk.first_token);
  for (const PassCommand::EmbeddingTarget& target : pass.embedding_targets) {
    if (!contains(chunk, target.index)) continue;
    const auto row = std::lower_bound(first, pass.hidden_rows.end(), target.index) - first;
    embeddings_.write(target.slot,
                      result.hidden.subspan(static_cast<size_t>(row) * width_, width_));
  }
}

/// Computes parts in one step; how many rows of logits were used. What the machine refuses is an
/// error.
Result<uint32_t> StepComputer::compute_together(std::span<const StepPart> parts) {
  try {
    const exec::StepBatch batch = build_batch(parts);
    PIE_TRY_ASSIGN(const exec::StepTicket ticket, executor_.submit(batch));
    PIE_TRY_ASSIGN(exec::StepResults results, executor_.collect(ticket));
    uint32_t generated = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      generated += static_cast<uint32_t>(batch.slices[i].logit_rows.size());
      take(parts[i], results[i]);
    }
    return generated;
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kResourceExhausted,
                 "[step] got no memory from the machine, expected enough for the pass: run fewer "
                 "instances at once, or serve with fewer KV pages"};
  }
}

StepOutcome StepComputer::compute(std::span<const StepPart> parts) {
  StepOutcome outcome{.parts = std::vector<Result<void>>(parts.size())};
  const Result<uint32_t> together = compute_together(parts);
  if (together.ok()) {
    outcome.generated = *together;
    return outcome;
  }
  log::error("engine: a step of {} passes failed: {}", parts.size(), together.error().message);
  for (size_t i = 0; i < parts.size(); ++i) {
    const Result<uint32_t> alone =
        parts.size() == 1 ? together : compute_together(parts.subspan(i, 1));
    if (alone.ok()) {
      outcome.generated += *alone;
    } else {
      outcome.parts[i] = alone.error();
    }
  }
  return outcome;
}

}  // namespace pie::engine
