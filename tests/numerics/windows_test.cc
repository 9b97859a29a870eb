// Sliding windows together with what programs may ask for: a windowed layer is a layer whose every
// row has its window's slots as a further mask. So a model all of whose layers are windowed equals
// the same weights without windows under masks that say the same, whatever the batch.
#include <gtest/gtest.h>

#include <random>

#include "numerics/compare.h"
#include "numerics/subject.h"
#include "support/tiny_gguf.h"

namespace pie::test {
namespace {

constexpr uint32_t kWindow = 21;
constexpr uint32_t kPageSize = 16;

std::shared_ptr<const model::Model> make_model(bool is_windowed) {
  TempFile file("tiny.gguf");
  TinyGguf tiny({.family = "gemma3", .heads = 4, .kv_heads = 2, .layers = 3, .head_size = 16});
  if (is_windowed) {
    tiny.set(tiny.key("attention.sliding_window"), kWindow);
    tiny.set(tiny.key("attention.sliding_window_pattern"), 0);  // every layer
  }
  tiny.write(file.path());
  return model::Model::load(file.path()).value();
}

/// Attended slots as runs.
exec::MaskRuns runs_of(const std::vector<bool>& attended) {
  exec::MaskRuns runs;
  bool is_attended = true;
  runs.push_back(0);
  for (const bool one : attended) {
    if (one != is_attended) {
      runs.push_back(0);
      is_attended = one;
    }
    ++runs.back();
  }
  return runs;
}

std::vector<bool> attended_of(const exec::MaskRuns& runs, uint32_t size) {
  std::vector<bool> attended;
  bool is_attended = true;
  for (const uint32_t run : runs) {
    for (uint32_t i = 0; i < run && attended.size() < size; ++i) attended.push_back(is_attended);
    is_attended = !is_attended;
  }
  attended.resize(size, false);
  return attended;
}

/// One slice of a batch, owned.
struct Piece {
  std::vector<exec::StepToken> tokens;
  std::vector<KvPageId> pages;
  uint32_t context_len = 0;
  std::vector<exec::MaskRuns> mask;
};

std::vector<float> run(exec::LogitsExecutor& executor, const std::vector<Piece>& pieces) {
  exec::StepBatch batch;
  for (const Piece& piece : pieces) {
    exec::StepSlice slice{piece.tokens, piece.pages, piece.context_len, piece.mask, {}, {}};
    for (uint32_t row = 0; row < piece.tokens.size(); ++row) slice.logit_rows.push_back(row);
    batch.slices.push_back(std::move(slice));
  }
  const exec::StepOutput output = executor.execute(batch).value();
  return {output.logits.begin(), output.logits.end()};
}

/// The same piece with the window as part of its masks.
Piece with_window(Piece piece) {
  std::vector<exec::MaskRuns> mask;
  for (uint32_t row = 0; row < piece.tokens.size(); ++row) {
    const uint32_t visible = piece.context_len + row + 1;
    std::vector<bool> attended(visible, true);
    if (!piece.mask.empty()) attended = attended_of(piece.mask[row], visible);
    for (uint32_t slot = 0; slot + kWindow < visible; ++slot) attended[slot] = false;
    mask.push_back(runs_of(attended));
  }
  piece.mask = std::move(mask);
  return piece;
}

class Sequences {
 public:
  explicit Sequences(uint32_t seed) : random_(seed) {
    for (uint32_t page = 0; page < 120; ++page) free_.emplace_back(page);
  }
  /// `count` more tokens of sequence `index`, masked at random or not.
  Piece next(size_t index, uint32_t count) {
    if (sequences_.size() <= index) sequences_.resize(index + 1);
    Piece& state = sequences_[index];
    state.context_len += static_cast<uint32_t>(state.tokens.size());
    state.tokens.clear();
    for (uint32_t i = 0; i < count; ++i)
      state.tokens.push_back({.id = draw(200), .position = state.context_len + i});
    while (state.pages.size() * kPageSize < state.context_len + count) {
      // Half of the sequences are looked at in place, the others gathered.
      const size_t at = index % 2 == 0 ? 0 : draw(static_cast<uint32_t>(free_.size()));
      state.pages.push_back(free_[at]);
      free_.erase(free_.begin() + static_cast<ptrdiff_t>(at));
    }
    Piece piece = state;
    piece.mask.clear();
    for (uint32_t row = 0; index % 3 == 1 && row < count; ++row) {
      std::vector<bool> attended(state.context_len + row + 1);
      for (size_t slot = 0; slot < attended.size(); ++slot) attended[slot] = draw(4) != 0;
      attended.back() = true;
      piece.mask.push_back(runs_of(attended));
    }
    return piece;
  }
  uint32_t draw(uint32_t below) { return static_cast<uint32_t>(random_() % below); }

 private:
  std::mt19937 random_;
  std::vector<KvPageId> free_;
  std::vector<Piece> sequences_;
};

class WindowsTest : public ::testing::TestWithParam<ExecutorKind> {};
INSTANTIATE_TEST_SUITE_P(Executors, WindowsTest, ::testing::ValuesIn(executor_kinds()), kind_name);

TEST_P(WindowsTest, a_window_is_a_mask_besides_the_programs) {
  const exec::ExecutorConfig config = {
      .page_count = 120, .page_size = kPageSize, .step_tokens_max = 256, .thread_count = 1};
  const auto windowed = GetParam().make(make_model(true), config).value();
  const auto plain = GetParam().make(make_model(false), config).value();
  Sequences sequences(5);
  float worst = 0.0F;
  for (int step = 0; step < 40; ++step) {
    std::vector<Piece> pieces;
    for (size_t index = 0; index < 6; ++index) {
      // Prompts of many lengths first, then decodes beside chunks.
      const uint32_t count =
          step == 0 ? 1 + sequences.draw(40) : 1 + (step % 5 == 0) * sequences.draw(9);
      if (step == 0 || sequences.draw(4) != 0) pieces.push_back(sequences.next(index, count));
    }
    std::vector<Piece> masked;
    for (const Piece& piece : pieces) masked.push_back(with_window(piece));
    const auto got = run(*windowed, pieces);
    const auto expected = run(*plain, masked);
    worst = std::max(worst, difference(got, expected).largest);
    ASSERT_LE(difference(got, expected).largest, 1e-3F * magnitude(expected)) << "step " << step;
  }
  std::printf("largest difference %.6f\n", static_cast<double>(worst));
}

TEST_P(WindowsTest, a_chunked_prompt_sees_the_same_window) {
  const auto model = make_model(true);
  const exec::ExecutorConfig config = {
      .page_count = 120, .page_size = kPageSize, .step_tokens_max = 128, .thread_count = 1};
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 100; ++i) ids.push_back((i * 31 + 3) % 200);
  Subject whole(GetParam(), model, config);
  Subject::Sequence all;
  const auto expected = whole.append(all, ids, 1);
  for (const size_t chunk : {1U, 7U, 33U}) {
    Subject subject(GetParam(), model, config);
    Subject::Sequence sequence;
    std::vector<float> last;
    for (size_t at = 0; at < ids.size(); at += chunk)
      last =
          subject.append(sequence, std::span(ids).subspan(at, std::min(chunk, ids.size() - at)), 1);
    EXPECT_LE(difference(last, expected).largest, 1e-2F * magnitude(expected)) << chunk;
  }
}

/// Slots count, not positions: a token far away by position and near by slot is seen.
TEST_P(WindowsTest, windows_go_by_slot) {
  const exec::ExecutorConfig config = {
      .page_count = 16, .page_size = kPageSize, .step_tokens_max = 64, .thread_count = 1};
  const auto windowed = GetParam().make(make_model(true), config).value();
  const auto plain = GetParam().make(make_model(false), config).value();
  Piece piece;
  for (uint32_t i = 0; i < 20; ++i) piece.tokens.push_back({.id = i + 3, .position = i * 50});
  for (const uint32_t page : {4U, 1U, 9U}) piece.pages.emplace_back(page);
  const auto expected = run(*plain, {piece});
  EXPECT_LE(difference(run(*windowed, {piece}), expected).largest, 1e-3F * magnitude(expected));
}

}  // namespace
}  // namespace pie::test
