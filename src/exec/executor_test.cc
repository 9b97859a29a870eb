#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>

#include "exec/executor_harness.h"
#include "exec/ggml_executor.h"
#include "exec/native_executor.h"
#include "model/weights.h"
#include "sample/log_softmax.h"

namespace pie::exec {
namespace {

using ::testing::HasSubstr;

struct Kind {
  const char* name;
  Result<std::unique_ptr<LogitsExecutor>> (*make)(std::shared_ptr<const model::Model>,
                                                  const ExecutorConfig&);
  /// What the same keys in other slots may change. ggml sums them one after the other; our chunks
  /// and lanes lie at absolute slots, so that sums are rounded elsewhere, which 8-bit activations
  /// amplify (docs/NUMERICS.md).
  float moved_tolerance;
};

/// What two ways of computing the same logits (of size 10 to 30) may differ by here. The sequences
/// are short enough for ggml to use one and the same attention kernel, so that only the order of
/// sums in matrix products of different widths is left: none on most machines, 1e-3 on some.
constexpr float kTolerance = 0.02F;

/// What holds for every executor.
class ExecutorTest : public testing::TestWithParam<Kind> {
 protected:
  static std::unique_ptr<LogitsExecutor> make(std::shared_ptr<const model::Model> model,
                                              ExecutorConfig config = {.page_count = 64,
                                                                       .thread_count = 1}) {
    return GetParam().make(std::move(model), config).value();
  }
};

INSTANTIATE_TEST_SUITE_P(All, ExecutorTest,
                         testing::Values(Kind{"ggml", make_ggml_executor, 0.02F},
                                         Kind{"native", make_native_executor, 1.34F}),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST_P(ExecutorTest, scattered_pages_equal_consecutive_ones) {
  const auto executor = make(default_model());
  const auto tokens = tokens_at(prose(), 0);
  ASSERT_GT(tokens.size(), 16U);
  const auto rows = all_rows(tokens.size());
  const auto together = run(*executor, tokens, pages({4, 5, 6}), 0, rows);
  const auto scattered = run(*executor, tokens, pages({30, 2, 17}), 0, rows);
  expect_near(scattered, together, kTolerance);
  const auto next = tokens_at({100}, static_cast<uint32_t>(tokens.size()));
  const auto length = static_cast<uint32_t>(tokens.size());
  expect_near(run(*executor, next, pages({30, 2, 17}), length, {0}),
              run(*executor, next, pages({4, 5, 6}), length, {0}), kTolerance);
}

TEST_P(ExecutorTest, chunked_prefill_equals_whole) {
  const auto executor = make(default_model());
  const auto whole = tokens_at(prose(), 0);
  const auto length = static_cast<uint32_t>(whole.size());
  const auto expected = run(*executor, whole, pages({0, 1, 2}), 0, {length - 1});
  for (const uint32_t chunk : {1U, 5U, 16U}) {
    std::vector<float> last;
    for (uint32_t at = 0; at < length; at += chunk) {
      const uint32_t count = std::min(chunk, length - at);
      const std::vector<StepToken> part(whole.begin() + at, whole.begin() + at + count);
      const bool is_last = at + count == length;
      last = run(*executor, part, pages({9, 7, 8}), at,
                 is_last ? std::vector<uint32_t>{count - 1} : std::vector<uint32_t>{});
    }
    expect_near(last, expected, kTolerance);
  }
}

TEST_P(ExecutorTest, batched_slices_equal_each_alone) {
  const auto executor = make(default_model());
  struct Sequence {
    std::vector<StepToken> context, step;
    std::vector<KvPageId> table;
    std::vector<MaskRuns> mask;
  };
  // Decodes of several lengths, scattered and consecutive, with and without masks; two prefills.
  std::vector<Sequence> sequences(7);
  const std::vector<uint32_t> context = {20, 5, 0, 21, 0, 37, 19};
  const std::vector<uint32_t> step = {1, 1, 9, 1, 23, 1, 1};
  for (uint32_t i = 0; i < sequences.size(); ++i) {
    Sequence& s = sequences[i];
    const auto ids = some_ids(context[i] + step[i], i, 40000);
    const auto all = tokens_at(ids, 0);
    s.context.assign(all.begin(), all.begin() + context[i]);
    s.step.assign(all.begin() + context[i], all.end());
    s.table =
        i % 3 == 1 ? pages({3 * i, 3 * i + 1, 3 * i + 2}) : pages({3 * i + 2, 3 * i, 3 * i + 1});
  }
  sequences[0].mask = {{3, 4, 100}};
  sequences[4].mask.assign(23, MaskRuns{2, 1, 50});
  std::vector<std::vector<float>> alone;
  for (const Sequence& s : sequences) {
    if (!s.context.empty()) run(*executor, s.context, s.table, 0, {});
    alone.push_back(run(*executor, s.step, s.table, static_cast<uint32_t>(s.context.size()),
                        {static_cast<uint32_t>(s.step.size()) - 1}, s.mask));
  }
  StepBatch batch;
  for (const Sequence& s : sequences) {
    batch.slices.push_back({s.step,
                            s.table,
                            static_cast<uint32_t>(s.context.size()),
                            s.mask,
                            {static_cast<uint32_t>(s.step.size()) - 1},
                            {}});
  }
  const StepOutput output = executor->execute(batch).value();
  const size_t vocab = alone[0].size();
  ASSERT_EQ(output.logits.size(), vocab * sequences.size());
  for (size_t i = 0; i < sequences.size(); ++i) {
    SCOPED_TRACE(i);
    expect_near(output.logits.subspan(i * vocab, vocab), alone[i], kTolerance);
  }
}

TEST_P(ExecutorTest, masked_tokens_are_as_if_never_there) {
  const auto executor = make(default_model());
  const auto before = tokens_at(some_ids(10, 1, 40000), 0);
  const auto hidden = tokens_at(some_ids(9, 2, 40000), 10);
  const auto after = tokens_at(some_ids(30, 3, 40000), 19);
  // With: slots 0-9 before, 10-18 masked, 19- after. Without: the same positions, no middle.
  run(*executor, before, pages({12, 3, 8, 1}), 0, {});
  run(*executor, hidden, pages({12, 3, 8, 1}), 10, {});
  run(*executor, before, pages({20, 21, 22, 23}), 0, {});
  const std::vector<MaskRuns> mask(after.size(), MaskRuns{10, 9, 1000});
  const auto rows = all_rows(after.size());
  expect_near(run(*executor, after, pages({12, 3, 8, 1}), 19, rows, mask),
              run(*executor, after, pages({20, 21, 22, 23}), 10, rows), GetParam().moved_tolerance);
  // The same for single tokens.
  const auto next = tokens_at({77}, 49);
  const auto masked = run(*executor, next, pages({12, 3, 8, 1}), 49, {0}, {{10, 9, 1000}});
  const auto without = run(*executor, next, pages({20, 21, 22, 23}), 40, {0});
  const auto unmasked = run(*executor, next, pages({12, 3, 8, 1}), 49, {0});
  expect_near(masked, without, GetParam().moved_tolerance);
  float difference = 0.0F;
  for (size_t i = 0; i < masked.size(); ++i) {
    difference = std::max(difference, std::abs(masked[i] - unmasked[i]));
  }
  EXPECT_GT(difference, 2 * kTolerance) << "the mask of a single token has an effect";
}

TEST_P(ExecutorTest, mask_runs_are_clipped_and_end_masked) {
  const auto executor = make(tiny_model());
  const auto tokens = tokens_at(some_ids(6, 5, 260), 0);
  const auto expected = run(*executor, tokens, pages({1}), 0, all_rows(6));
  // "Attend to all" cannot look ahead of the row's own slot.
  EXPECT_EQ(run(*executor, tokens, pages({1}), 0, all_rows(6),
                std::vector<MaskRuns>(6, {UINT32_MAX, UINT32_MAX})),
            expected);
  // Zero-length runs change nothing; slots beyond the runs are masked.
  const auto first_only =
      run(*executor, tokens, pages({1}), 0, {5}, std::vector<MaskRuns>(6, MaskRuns{0, 0, 1}));
  const auto first_only_too =
      run(*executor, tokens, pages({1}), 0, {5}, std::vector<MaskRuns>(6, MaskRuns{1, 2}));
  EXPECT_EQ(first_only, first_only_too);
  // A row that sees nothing still gives numbers.
  for (const float logit :
       run(*executor, tokens, pages({1}), 0, all_rows(6), std::vector<MaskRuns>(6))) {
    ASSERT_TRUE(std::isfinite(logit));
  }
}

TEST_P(ExecutorTest, no_pages_means_no_cache) {
  const auto executor = make(default_model());
  const auto tokens = tokens_at(prose(), 0);
  const auto rows = all_rows(tokens.size());
  const auto cached = run(*executor, tokens, pages({0, 1, 2}), 0, rows);
  expect_near(run(*executor, tokens, {}, 0, rows), cached, kTolerance);
  // Two of them in one step see their own tokens only, and no page was written.
  const auto others = tokens_at(some_ids(12, 9, 40000), 0);
  StepBatch batch;
  batch.slices.push_back({others, {}, 0, {}, {}, {}});
  batch.slices.push_back({tokens, {}, 0, {}, rows, {}});
  expect_near(executor->execute(batch).value().logits, cached, kTolerance);
  const auto next = tokens_at({42}, static_cast<uint32_t>(tokens.size()));
  const auto length = static_cast<uint32_t>(tokens.size());
  const auto after = run(*executor, next, pages({0, 1, 2}), length, {0});
  run(*executor, tokens, pages({5, 6, 7}), 0, {});
  expect_near(run(*executor, next, pages({5, 6, 7}), length, {0}), after, kTolerance);
}

TEST_P(ExecutorTest, positions_feed_the_rotation_alone) {
  const auto executor = make(tiny_model());
  auto tokens = tokens_at(some_ids(5, 5, 260), 0);
  const auto at_zero = run(*executor, tokens, pages({1}), 0, {4});
  for (StepToken& token : tokens) token.position += 1000;
  expect_near(run(*executor, tokens, pages({2}), 0, {4}), at_zero, 0.05F);  // relative encoding
  tokens[2].position = 7;
  const auto moved = run(*executor, tokens, pages({3}), 0, {4});
  EXPECT_NE(moved, at_zero);
}

/// Row `token` of the embedding table, which is Q8_0: an F16 scale and 32 signed bytes a block.
std::vector<float> embedding_row(const model::Model& model, TokenId token) {
  const model::Tensor& table = model.weights().get(model::TensorRole::kTokenEmbedding);
  const size_t width = table.shape[1];
  std::vector<float> row(width);
  const Mapping bytes = table.data.load().value();
  const std::byte* at = bytes.get() + token * (width / 32 * 34);
  for (size_t i = 0; i < width; i += 32, at += 34) {
    ggml_fp16_t scale;
    std::memcpy(&scale, at, sizeof scale);
    for (size_t j = 0; j < 32; ++j) {
      row[i + j] = ggml_fp16_to_fp32(scale) * static_cast<float>(static_cast<int8_t>(at[2 + j]));
    }
  }
  return row;
}

TEST_P(ExecutorTest, embeddings_stand_in_for_tokens) {
  const auto executor = make(default_model());
  auto tokens = tokens_at(prose(), 0);
  const auto expected = run(*executor, tokens, pages({0, 1, 2}), 0, all_rows(tokens.size()));
  const auto second = embedding_row(*default_model(), tokens[1].id);
  const auto last = embedding_row(*default_model(), tokens.back().id);
  tokens[1].id = tokens.back().id = 0;
  tokens[1].embedding = second.data();
  tokens.back().embedding = last.data();
  expect_near(run(*executor, tokens, pages({0, 1, 2}), 0, all_rows(tokens.size())), expected,
              kTolerance);
}

TEST_P(ExecutorTest, hidden_rows_are_what_the_output_matrix_takes) {
  const auto model = default_model();
  const auto executor = make(model);
  const auto tokens = tokens_at(prose(), 0);
  StepBatch batch;
  batch.slices.push_back({tokens, pages({}), 0, {}, {}, {3}});
  batch.slices.push_back({tokens, pages({}), 0, {}, {2, 7}, {2, 7}});
  const StepOutput output = executor->execute(batch).value();
  const size_t width = model->info().embedding_size;
  ASSERT_EQ(output.hidden.size(), 3 * width);
  ASSERT_EQ(output.logits.size(), size_t{2} * model->info().vocab_size);
  for (const TokenId token : {0U, 42U, 30000U}) {
    const auto row = embedding_row(*model, token);  // tied: also the output matrix
    const float* hidden = output.hidden.data() + 2 * width;
    const float logit = std::inner_product(row.begin(), row.end(), hidden, 0.0F);
    EXPECT_NEAR(output.logits[model->info().vocab_size + token], logit, 0.2F);
  }
}

TEST_P(ExecutorTest, what_is_asked_of_rows_comes_from_their_logits_by_the_ticket) {
  const auto model = tiny_model();
  const auto executor = make(model);
  const auto tokens = tokens_at(some_ids(6, 1, model->info().vocab_size), 0);
  const auto table = pages({3});
  StepBatch batch;
  batch.slices.push_back({tokens, {}, 0, {}, {}, {}});
  batch.slices.push_back({tokens, table, 0, {}, {1, 4}, {2}});
  StepSlice& slice = batch.slices[1];
  const sample::DrawKey key{.seed = 7, .instance = 1, .pass = 2, .slot = 3};
  slice.token_requests = {{.row = 4, .sampler = {.temperature = 5.0F}, .key = key}, {.row = 1}};
  slice.distribution_requests = {{.row = 1, .top_k = 3}};
  StepResults results = executor->collect(executor->submit(batch).value()).value();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_TRUE(results[0].tokens.empty() && results[0].hidden.empty());
  const std::vector<float> hidden(results[1].hidden.begin(), results[1].hidden.end());
  const StepOutput output = executor->execute(batch).value();
  EXPECT_EQ(hidden, std::vector<float>(output.hidden.begin(), output.hidden.end()));
  const size_t vocab = model->info().vocab_size;
  const auto first = output.logits.first(vocab), second = output.logits.subspan(vocab);
  sample::Sampler sampler;
  EXPECT_EQ(results[1].tokens,
            (std::vector{sampler.draw(second, {.temperature = 5.0F}, sample::chance_of(key)).token,
                         sample::argmax(first)}));
  EXPECT_EQ(results[1].distributions.at(0).ids, sampler.rank(first, 1.0F, 3).ids);
}

TEST_P(ExecutorTest, rules_hold_for_draws_and_rankings_of_their_row_alone) {
  const auto model = tiny_model();
  const auto executor = make(model);
  const uint32_t vocab = model->info().vocab_size;
  const auto tokens = tokens_at(some_ids(6, 1, vocab), 0);
  StepBatch batch;
  batch.slices.push_back({tokens, {}, 0, {}, {1, 4}, {}});
  StepSlice& slice = batch.slices[0];
  sample::LogitRules rules;
  rules.allowed = {0b10100000};
  rules.bias = {{5, 100.0F}};
  slice.ruled_rows = {{.row = 4, .rules = &rules}};
  for (uint64_t i = 0; i < 40; ++i) {  // more than are answered in one go
    slice.token_requests.push_back({.row = i % 2 == 0 ? 4U : 1U,
                                    .sampler = {.temperature = 30.0F},
                                    .key = {.slot = i},
                                    .wants_details = i % 3 == 0});
  }
  slice.distribution_requests = {{.row = 4, .top_k = 3}, {.row = 1, .top_k = 3}};
  slice.logit_requests = {{.row = 4}, {.row = 1, .best = 2}};
  const std::vector<TokenId> asked{5, 7, 0};
  slice.score_requests = {{.row = 4, .tokens = asked}};
  slice.entropy_rows = {1, 4};
  const StepResults results = executor->collect(executor->submit(batch).value()).value();
  const SliceResult& result = results[0];
  const StepOutput output = executor->execute(batch).value();
  const auto first = output.logits.first(vocab), second = output.logits.subspan(vocab);
  size_t detail = 0;
  sample::Sampler sampler;
  for (size_t i = 0; i < 40; ++i) {
    const TokenId token = result.tokens[i];
    if (i % 2 == 0) {
      EXPECT_TRUE(token == 5 || token == 7) << token;
    } else {
      EXPECT_EQ(token,
                sampler.draw(first, {.temperature = 30.0F}, sample::chance_of({.slot = i})).token);
    }
    if (i % 3 != 0) continue;
    const auto row = i % 2 == 0 ? second : first;
    EXPECT_EQ(result.details[detail++].log_probability,
              sample::log_probabilities(row, std::span(&token, 1))[0]);
  }
  EXPECT_EQ(detail, result.details.size());
  EXPECT_EQ(result.distributions[0].ids.at(0), 5u);
  EXPECT_EQ(result.distributions[1].ids, sampler.rank(first, 1.0F, 3).ids);
  EXPECT_EQ(result.logits[0].logits, std::vector<float>(second.begin(), second.end()));
  EXPECT_EQ(result.logits[1].ids, sampler.rank(first, 1.0F, 2).ids);
  EXPECT_EQ(result.scores[0], sample::log_probabilities(second, asked)) << "without the rules";
  EXPECT_EQ(result.entropies, (std::vector{sample::entropy(first), sample::entropy(second)}));
}

TEST_P(ExecutorTest, outputs_come_in_the_order_of_the_batch) {
  const auto executor = make(tiny_model());
  const auto longer = tokens_at(some_ids(20, 1, 260), 0);
  const auto shorter = tokens_at(some_ids(3, 2, 260), 0);
  const auto first = run(*executor, longer, pages({1, 2}), 0, {4, 19});
  const auto second = run(*executor, shorter, pages({3}), 0, {0, 2});
  StepBatch batch;
  const auto table_a = pages({1, 2});
  const auto table_b = pages({3});
  batch.slices.push_back({longer, table_a, 0, {}, {4, 19}, {}});
  batch.slices.push_back({shorter, table_b, 0, {}, {0, 2}, {}});
  const StepOutput output = executor->execute(batch).value();
  std::vector<float> expected = first;
  expected.insert(expected.end(), second.begin(), second.end());
  expect_near(output.logits, expected, 0.05F);
  EXPECT_TRUE(executor->execute({}).value().logits.empty());
}

TEST_P(ExecutorTest, pages_are_copied_and_cleared) {
  const auto executor = make(default_model());
  const auto tokens = tokens_at(some_ids(20, 4, 40000), 0);
  run(*executor, tokens, pages({1, 2}), 0, {});
  executor->copy_pages(pages({1, 2}), pages({40, 33}));
  const auto next = tokens_at({5}, 20);
  const auto expected = run(*executor, next, pages({1, 2}), 20, {0});
  executor->clear_pages(pages({1, 2}));
  EXPECT_EQ(run(*executor, next, pages({40, 33}), 20, {0}).size(), expected.size());
  expect_near(run(*executor, next, pages({40, 33}), 20, {0}), expected, kTolerance);
  const auto cleared = run(*executor, next, pages({1, 2}), 20, {0});
  executor->clear_pages(pages({50, 51}));
  EXPECT_EQ(cleared, run(*executor, next, pages({50, 51}), 20, {0}));
  EXPECT_EQ(executor->page_bytes(), 30U * 16 * 192 * 2 * 2);
}

TEST_P(ExecutorTest, pages_read_from_one_pool_continue_the_sequence_in_another) {
  const auto model = default_model();
  const auto executor = make(model);
  run(*executor, tokens_at(some_ids(20, 4, 40000), 0), pages({1, 2}), 0, {});
  const auto next = tokens_at({5}, 20);
  const auto other = make(model);
  EXPECT_EQ(other->layout_id().value(), executor->layout_id().value());
  EXPECT_THAT(executor->layout_id().value(), HasSubstr(GetParam().name));
  std::vector<std::byte> bytes(executor->page_bytes());
  for (const auto& [from, to] : {std::pair{1U, 7U}, std::pair{2U, 3U}}) {
    executor->read_page(KvPageId{from}, bytes);
    other->write_page(KvPageId{to}, bytes);
  }
  EXPECT_EQ(run(*other, next, pages({7, 3}), 20, {0}),
            run(*executor, next, pages({1, 2}), 20, {0}));
  EXPECT_NE(make(tiny_model())->layout_id().value(), executor->layout_id().value());
}

TEST_P(ExecutorTest, poison_in_one_sequence_stays_there) {
  const auto executor = make(tiny_model());
  const std::vector<float> nan(32, std::numeric_limits<float>::quiet_NaN());
  std::vector<StepToken> poison(16 * 4, StepToken{.embedding = nan.data()});
  const auto poisoned = pages({0, 2, 4, 6});
  run(*executor, poison, poisoned, 0, {});
  // Long enough for the tiled path of ggml's attention, of different lengths in one gathered group.
  const auto tokens = tokens_at(some_ids(70, 3, 260), 0);
  const auto table_a = pages({9, 11, 13, 15, 17});
  const auto table_b = pages({19, 21, 23, 25, 27, 29});
  run(*executor, tokens_at(some_ids(20, 8, 260), 0), table_b, 0, {});
  StepBatch batch;
  batch.slices.push_back({tokens, table_a, 0, {}, all_rows(70), {}});
  batch.slices.push_back({tokens, table_b, 20, {}, all_rows(70), {}});
  const StepOutput output = executor->execute(batch).value();
  for (const float logit : output.logits) ASSERT_TRUE(std::isfinite(logit));
}

TEST_P(ExecutorTest, what_cannot_be_is_an_error) {
  const auto too_big = GetParam().make(tiny_model(), {.page_count = UINT32_MAX});
  ASSERT_FALSE(too_big.ok());
  EXPECT_EQ(too_big.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(too_big.error().message, HasSubstr("fewer pages"));
  EXPECT_EQ(GetParam().make(tiny_model(), {.page_count = 0}).error().code,
            ErrorCode::kInvalidArgument);
}

TEST_P(ExecutorTest, a_file_that_is_cut_or_written_over_while_it_is_served_changes_nothing) {
  test::TempFile file("served.gguf");
  test::TinyGguf().write(file.path());
  const auto executor = make(model::Model::load(file.path()).value());
  const auto tokens = tokens_at(some_ids(9, 3, 260), 0);
  const auto before = run(*executor, tokens, pages({1}), 0, {8});
  std::filesystem::resize_file(file.path(), 100);
  EXPECT_EQ(run(*executor, tokens, pages({2}), 0, {8}), before);
  EXPECT_EQ(executor->layout_id().error().code, ErrorCode::kCorrupt);
  std::ofstream(file.path()) << std::string(1 << 20, '!');
  EXPECT_EQ(run(*executor, tokens, pages({3}), 0, {8}), before);
}

TEST_P(ExecutorTest, a_file_that_changes_while_it_is_loaded_is_refused_by_name) {
  for (const bool is_cut : {true, false}) {
    test::TempFile file("loading.gguf");
    test::TinyGguf().write(file.path());
    const auto model = model::Model::load(file.path()).value();
    const auto time = std::filesystem::last_write_time(file.path());
    if (is_cut) {
      std::filesystem::resize_file(file.path(), 100);
    } else {
      std::filesystem::last_write_time(file.path(), time + std::chrono::seconds(1));
    }
    const auto made = GetParam().make(model, {.page_count = 4, .thread_count = 1});
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(made.error().message, HasSubstr(file.path().string()));
    EXPECT_THAT(made.error().message, HasSubstr("renaming a new one over the old"));
  }
}

/// In a process of its own that may map `more` bytes: exits with 0 when an executor was made, with
/// 7 when the error says what bounds it.
void make_within(const Kind& kind, uint64_t more) {
  const auto model = tiny_model({.embedding = 256, .heads = 4, .ffn = 4096});
  malloc_trim(0);  // what earlier tests have freed is not room within the limit
  std::array<volatile char, 1 << 20> stack;  // which the limit would keep from growing
  for (size_t i = 0; i < stack.size(); i += 4096) stack[i] = 0;
  std::ifstream statm("/proc/self/statm");
  uint64_t pages_mapped = 0;
  statm >> pages_mapped;
  const rlimit limit{pages_mapped * 4096 + more, RLIM_INFINITY};
  setrlimit(RLIMIT_AS, &limit);
  const auto made = kind.make(model, {.page_count = 64, .thread_count = 1});
  if (made.ok()) std::_Exit(0);
  const bool is_named = made.error().code == ErrorCode::kResourceExhausted &&
                        made.error().message.find("RLIMIT_AS") != std::string::npos;
  if (!is_named) std::fprintf(stderr, "%s\n", made.error().message.c_str());
  std::_Exit(is_named ? 7 : 1);
}

TEST_P(ExecutorTest, memory_that_the_machine_refuses_is_an_error_of_the_load) {
  uint32_t refused = 0;
  for (const uint64_t mib : {1, 64, 96, 128}) {
    EXPECT_EXIT(
        make_within(GetParam(), mib << 20),
        [&](int status) {
          refused += WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 1 : 0;
          return WIFEXITED(status) && WEXITSTATUS(status) != 1;
        },
        "")
        << mib << " MiB";
  }
  EXPECT_GE(refused, 1u);
}

}  // namespace
}  // namespace pie::exec
