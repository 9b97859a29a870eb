// What the native executor promises beyond every executor: bits.
#include "exec/native_executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "exec/executor_harness.h"
#include "exec/ggml_executor.h"

namespace pie::exec {
namespace {

constexpr uint32_t kPage = 16;

/// A sequence with a context, some of it in pages that others have too, and a slice to compute.
struct Program {
  std::vector<KvPageId> table;  ///< empty: no cache
  uint32_t shared_len = 0;      ///< slots that somebody else fills
  std::vector<StepToken> tail;  ///< from there to the context's end
  std::vector<StepToken> step;
  std::vector<MaskRuns> mask;
  std::vector<uint32_t> rows;  ///< of the step, whose logits are asked for
  model::AdapterRef adapter;   ///< what all of it but the shared part is computed under

  uint32_t context_len() const { return shared_len + static_cast<uint32_t>(tail.size()); }
};

struct Prefix {
  std::vector<KvPageId> table;
  std::vector<StepToken> tokens;
};

/// 64 programs of all kinds: decode, a few tokens, prefill, without a cache, with masks; alone, or
/// forked from one of the prefixes.
class Fleet {
 public:
  /// Every third program has no adapter, the others one of `adapters` if there are some.
  Fleet(uint32_t vocab, uint32_t prefix_pages, uint32_t step_max,
        std::vector<model::AdapterRef> adapters = {})
      : vocab_(vocab), adapters_(std::move(adapters)), random_(11) {
    for (uint32_t i = 0; i < 3; ++i) {
      Prefix prefix;
      prefix.tokens = draw_tokens((prefix_pages - i) * kPage, 0);
      extend(prefix.table, static_cast<uint32_t>(prefix.tokens.size()));
      prefixes_.push_back(std::move(prefix));
    }
    for (uint32_t i = 0; i < 64; ++i) programs_.push_back(draw_program(i, step_max));
  }
  const std::vector<Program>& programs() const { return programs_; }
  uint32_t page_count() const { return next_page_; }

  /// Fills all contexts, `chunk` tokens of a sequence at a time.
  void fill(LogitsExecutor& executor, uint32_t chunk) const {
    for (const Prefix& prefix : prefixes_)
      append(executor, prefix.tokens, prefix.table, 0, chunk, nullptr);
    for (const Program& p : programs_)
      append(executor, p.tail, p.table, p.shared_len, chunk, p.adapter.get());
  }

 private:
  static void append(LogitsExecutor& executor, std::span<const StepToken> tokens,
                     std::span<const KvPageId> table, uint32_t at, uint32_t chunk,
                     const model::Adapter* adapter) {
    for (size_t i = 0; i < tokens.size(); i += chunk) {
      const auto part = tokens.subspan(i, std::min<size_t>(chunk, tokens.size() - i));
      StepBatch batch;
      batch.slices.push_back({part, table, at, {}, {}, {}});
      batch.slices.back().adapter = adapter;
      ASSERT_TRUE(executor.execute(batch).ok());
      at += static_cast<uint32_t>(part.size());
    }
  }
  uint32_t draw(uint32_t below) { return static_cast<uint32_t>(random_() % below); }
  std::vector<StepToken> draw_tokens(uint32_t count, uint32_t position) {
    std::vector<StepToken> tokens;
    for (uint32_t i = 0; i < count; ++i)
      tokens.push_back({.id = draw(vocab_), .position = position + i});
    return tokens;
  }
  void extend(std::vector<KvPageId>& table, uint32_t slots) {
    while (table.size() * kPage < slots) table.emplace_back(next_page_++);
  }
  Program draw_program(uint32_t index, uint32_t step_max) {
    Program p;
    if (!adapters_.empty() && index % 3 != 0) p.adapter = adapters_[index % adapters_.size()];
    const bool has_cache = index % 16 != 7;
    if (has_cache && index % 4 != 3) {
      const Prefix& prefix = prefixes_[index % 3];
      // Some fork in the middle of the prefix.
      const auto pages = static_cast<uint32_t>(prefix.table.size()) - (index % 5 == 0 ? 1 : 0);
      p.table.assign(prefix.table.begin(), prefix.table.begin() + pages);
      p.shared_len = pages * kPage;
    }
    if (has_cache) p.tail = draw_tokens(draw(10), p.shared_len);
    const uint32_t count = index % 8 == 2 ? 9 + draw(step_max - 9) : index % 8 == 5 ? 3 : 1;
    p.step = draw_tokens(has_cache ? count : count + 4, p.context_len());
    if (has_cache) extend(p.table, p.context_len() + count);
    for (uint32_t i = 0; i < p.step.size(); ++i) {
      if (index % 3 == 0 || i + 1 == p.step.size()) p.rows.push_back(i);
      if (index % 6 == 1) p.mask.push_back({draw(20), draw(150), 40, draw(3), 1000});
      if (index % 6 == 4) p.mask.push_back({0, p.context_len() / 2, 1000});
    }
    return p;
  }

  const uint32_t vocab_;
  const std::vector<model::AdapterRef> adapters_;
  std::mt19937 random_;
  uint32_t next_page_ = 0;
  std::vector<Prefix> prefixes_;
  std::vector<Program> programs_;
};

using Logits = std::vector<float>;

/// The part of a program's step that begins at `first`, as a slice.
StepSlice slice_of(const Program& p, uint32_t first, uint32_t count) {
  StepSlice slice{
      std::span(p.step).subspan(first, count), p.table, p.context_len() + first, {}, {}, {}};
  if (p.table.empty()) slice.context_len = 0;
  slice.adapter = p.adapter.get();
  if (!p.mask.empty()) slice.mask = std::span(p.mask).subspan(first, count);
  for (const uint32_t row : p.rows) {
    if (row >= first && row < first + count) slice.logit_rows.push_back(row - first);
  }
  return slice;
}

/// Computes the steps of all programs in batches of at most `budget` tokens, of which one program
/// gets `chunk` at most (one without a cache all it needs); logits by program.
std::vector<Logits> compute(LogitsExecutor& executor, const std::vector<Program>& programs,
                            const std::vector<size_t>& order, uint32_t budget, uint32_t chunk) {
  std::vector<Logits> result(programs.size());
  std::vector<uint32_t> done(programs.size());
  for (bool is_progress = true; is_progress;) {
    is_progress = false;
    StepBatch batch;
    std::vector<size_t> owners;
    uint32_t left = budget;
    for (const size_t i : order) {
      const Program& p = programs[i];
      const auto rest = static_cast<uint32_t>(p.step.size()) - done[i];
      const uint32_t count = p.table.empty() ? rest : std::min({rest, chunk, left});
      if (count == 0 || count > left) continue;
      batch.slices.push_back(slice_of(p, done[i], count));
      owners.push_back(i);
      done[i] += count;
      left -= count;
      is_progress = true;
    }
    const StepOutput output = executor.execute(batch).value();
    size_t at = 0;
    const size_t row_count = output.logits.size();
    size_t rows = 0;
    for (const StepSlice& slice : batch.slices) rows += slice.logit_rows.size();
    const size_t vocab = rows == 0 ? 0 : row_count / rows;
    for (size_t s = 0; s < owners.size(); ++s) {
      const size_t size = batch.slices[s].logit_rows.size() * vocab;
      const auto part = output.logits.subspan(at, size);
      result[owners[s]].insert(result[owners[s]].end(), part.begin(), part.end());
      at += size;
    }
  }
  return result;
}

void expect_equal_bits(const std::vector<Logits>& got, const std::vector<Logits>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].size(), expected[i].size()) << "program " << i;
    ASSERT_FALSE(got[i].empty());
    EXPECT_EQ(0, std::memcmp(got[i].data(), expected[i].data(), got[i].size() * sizeof(float)))
        << "program " << i;
  }
}

void check_fleet(const std::shared_ptr<const model::Model>& model, const Fleet& fleet,
                 KvFormat format = KvFormat::kF16) {
  const std::vector<Program>& programs = fleet.programs();
  std::vector<size_t> order(programs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto make = [&](uint32_t budget, uint32_t threads) {
    return make_native_executor(model, {.page_count = fleet.page_count(),
                                        .step_tokens_max = budget,
                                        .thread_count = threads,
                                        .kv_format = format})
        .value();
  };
  const auto first = make(1024, 1);
  fleet.fill(*first, 1000);
  std::vector<Logits> alone;
  for (const size_t i : order) {
    alone.push_back(compute(*first, programs, {i}, 1024, 1024)[i]);
  }
  {
    SCOPED_TRACE("all in one batch");
    expect_equal_bits(compute(*first, programs, order, 1024, 1024), alone);
  }
  for (const uint32_t threads : {2U, 3U}) {
    SCOPED_TRACE(testing::Message() << "prompts and steps in chunks, " << threads << " threads");
    const auto second = make(100, threads);
    fleet.fill(*second, 37);
    std::shuffle(order.begin(), order.end(), std::mt19937(threads));
    expect_equal_bits(compute(*second, programs, order, 100, 7), alone);
  }
}

TEST(NativeExecutorTest, programs_of_a_tiny_model_get_the_same_bits_alone_and_together) {
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_Q8_0}) {
    check_fleet(tiny_model({.heads = 4, .kv_heads = 2, .matrix_type = type}), Fleet(257, 20, 90));
  }
}

TEST(NativeExecutorTest, so_do_those_over_pages_of_bf16_and_q8) {
  for (const KvFormat format : {KvFormat::kBf16, KvFormat::kQ8}) {
    check_fleet(tiny_model({.heads = 4, .kv_heads = 2, .matrix_type = GGML_TYPE_Q8_0}),
                Fleet(257, 20, 90), format);
  }
}

/// Different adapters, and none, in one step.
std::vector<model::AdapterRef> some_adapters(const model::Model& model, float strength) {
  return {test::random_adapter(model.architecture(), {.seed = 1, .strength = strength}),
          test::random_adapter(model.architecture(),
                               {.rank = 7, .seed = 2, .strength = strength, .skips_some = true})};
}

TEST(NativeExecutorTest, programs_under_adapters_get_the_same_bits_alone_and_together) {
  for (const char* family : {"llama", "gemma3"}) {
    for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_Q8_0}) {
      const auto model =
          tiny_model({.family = family, .heads = 4, .kv_heads = 2, .matrix_type = type});
      check_fleet(model, Fleet(257, 20, 90, some_adapters(*model, 0.3F)));
    }
  }
}

TEST(NativeExecutorTest, so_do_those_of_the_default_model) {
  check_fleet(default_model(), Fleet(40000, 3, 20, some_adapters(*default_model(), 0.1F)));
}

/// A program without an adapter has the bits that it has where there are none.
TEST(NativeExecutorTest, adapters_of_others_change_nothing) {
  const auto model = tiny_model({.heads = 4, .kv_heads = 2, .matrix_type = GGML_TYPE_Q8_0});
  const Fleet with(257, 20, 90, some_adapters(*model, 0.3F));
  const Fleet without(257, 20, 90);
  std::vector<size_t> order(with.programs().size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto logits = [&](const Fleet& fleet) {
    const auto executor =
        make_native_executor(model, {.page_count = fleet.page_count(), .thread_count = 2}).value();
    fleet.fill(*executor, 1000);
    return compute(*executor, fleet.programs(), order, 512, 512);
  };
  const auto mixed = logits(with);
  const auto plain = logits(without);
  for (size_t i = 0; i < order.size(); ++i)
    EXPECT_EQ(mixed[i] == plain[i], with.programs()[i].adapter == nullptr) << i;
}

TEST(NativeExecutorTest, programs_of_the_default_model_get_the_same_bits_alone_and_together) {
  check_fleet(default_model(), Fleet(40000, 9, 40));
}

/// One long sequence, or two behind one prefix, have fewer heads than there are threads: their
/// attention is cut at chunks.
TEST(NativeExecutorTest, long_sequences_get_the_same_bits_however_many_threads_share_them) {
  constexpr uint32_t kLength = 700;
  for (const bool is_windowed : {false, true}) {
    const auto model =
        is_windowed ? tiny_model({.family = "gemma3", .heads = 4, .kv_heads = 2, .window = 600})
                    : tiny_model({.heads = 4, .kv_heads = 2});
    const uint32_t vocab = model->info().vocab_size;
    std::vector<std::vector<KvPageId>> tables(2);
    for (uint32_t p = 0; p < kLength / kPage + 4; ++p) {
      tables[0].emplace_back(p);
      tables[1].emplace_back(p < 34 ? p : p + 50);
    }
    std::vector<std::vector<Logits>> of_threads;
    for (const uint32_t threads : {1U, 2U, 5U}) {
      const auto executor =
          make_native_executor(
              model, {.page_count = 128, .step_tokens_max = kLength, .thread_count = threads})
              .value();
      const auto prompt = tokens_at(some_ids(kLength, 3, vocab), 0);
      for (const auto& table : tables) run(*executor, prompt, table, 0, {});
      const std::vector<MaskRuns> mask(3, MaskRuns{5, 150, 250, 1, 20, 200, 1000});
      std::vector<Logits> found;
      for (const uint32_t count : {1U, 3U, 20U}) {
        const auto tokens = tokens_at(some_ids(count, 4, vocab), kLength);
        found.push_back(run(*executor, tokens, tables[0], kLength, all_rows(count)));
        if (count == 3)
          found.push_back(run(*executor, tokens, tables[0], kLength, all_rows(3), mask));
        StepBatch both;
        for (const auto& table : tables)
          both.slices.push_back({tokens, table, kLength, {}, {count - 1}, {}});
        const StepOutput output = executor->execute(both).value();
        found.emplace_back(output.logits.begin(), output.logits.end());
      }
      of_threads.push_back(std::move(found));
    }
    for (size_t i = 1; i < of_threads.size(); ++i) expect_equal_bits(of_threads[i], of_threads[0]);
  }
}

/// A draft behind a context: tokens, of each the one before it (-1: the context's last one).
struct Tree {
  std::vector<TokenId> tokens;
  std::vector<int32_t> parents;

  /// From the first token on.
  std::vector<uint32_t> path(int32_t node) const {
    std::vector<uint32_t> nodes;
    for (; node >= 0; node = parents[static_cast<size_t>(node)])
      nodes.insert(nodes.begin(), static_cast<uint32_t>(node));
    return nodes;
  }
};

Tree some_tree(uint32_t count, uint32_t vocab) {
  Tree tree{some_ids(count, 6, vocab), {}};
  std::mt19937 random(count);
  for (uint32_t i = 0; i < count; ++i)
    tree.parents.push_back(static_cast<int32_t>(random() % std::min(i + 1, 4U)) +
                           static_cast<int32_t>(i) - std::min(static_cast<int32_t>(i), 3) - 1);
  return tree;
}

/// The logits of every token of the tree, in one pass.
std::vector<float> verify(LogitsExecutor& executor, const Tree& tree,
                          const std::vector<KvPageId>& table, uint32_t context_len) {
  std::vector<StepToken> tokens;
  std::vector<MaskRuns> mask;
  for (uint32_t i = 0; i < tree.tokens.size(); ++i) {
    const std::vector<uint32_t> path = tree.path(static_cast<int32_t>(i));
    tokens.push_back(
        {.id = tree.tokens[i], .position = context_len + static_cast<uint32_t>(path.size()) - 1});
    MaskRuns runs = {context_len};
    uint32_t end = 0;
    for (const uint32_t node : path) {
      runs.push_back(node - end);
      runs.push_back(1);
      end = node + 1;
    }
    mask.push_back(runs);
  }
  return run(executor, tokens, table, context_len, all_rows(tokens.size()), mask);
}

/// The bits of every branch are those of the same tokens as a chain.
void check_tree(const std::shared_ptr<const model::Model>& model, const ExecutorConfig& config,
                std::initializer_list<uint32_t> context_lens) {
  const auto executor = make_native_executor(model, config).value();
  const uint32_t vocab = model->info().vocab_size;
  for (const uint32_t context_len : context_lens) {
    std::vector<KvPageId> of_tree, of_chain;
    for (uint32_t p = 0; p < context_len / kPage + 3; ++p) {
      of_tree.emplace_back(p);
      of_chain.emplace_back(p + config.page_count / 2);
    }
    const auto prompt = tokens_at(some_ids(context_len, 3, vocab), 0);
    for (const auto& table : {of_tree, of_chain}) run(*executor, prompt, table, 0, {});
    for (const uint32_t count : {7U, 30U}) {
      const Tree tree = some_tree(count, vocab);
      const auto together = verify(*executor, tree, of_tree, context_len);
      for (uint32_t i = 0; i < count; ++i) {
        std::vector<TokenId> ids;
        for (const uint32_t node : tree.path(static_cast<int32_t>(i)))
          ids.push_back(tree.tokens[node]);
        const auto last = static_cast<uint32_t>(ids.size()) - 1;
        const auto alone =
            run(*executor, tokens_at(ids, context_len), of_chain, context_len, {last});
        ASSERT_EQ(0, std::memcmp(together.data() + size_t{i} * vocab, alone.data(),
                                 vocab * sizeof(float)))
            << "token " << i << " of " << count << " behind " << context_len;
      }
    }
  }
}

TEST(NativeExecutorTest, a_branch_of_a_tree_has_the_bits_of_the_same_chain) {
  uint32_t threads = 1;
  for (const KvFormat format : {KvFormat::kF16, KvFormat::kBf16, KvFormat::kQ8}) {
    check_tree(tiny_model({.heads = 4, .kv_heads = 2, .matrix_type = GGML_TYPE_Q8_0}),
               {.page_count = 128, .thread_count = threads++, .kv_format = format},
               {1, 121, 127, 500});
  }
  // One query head of a K/V head, so that six rows are a tile; windows that all of it fits into.
  check_tree(tiny_model({.heads = 2, .kv_heads = 2}), {.page_count = 64, .thread_count = 2}, {250});
  check_tree(tiny_model({.family = "gemma3", .heads = 4, .kv_heads = 2, .window = 600}),
             {.page_count = 64, .thread_count = 2}, {250});
}

TEST(NativeExecutorTest, so_does_one_of_the_default_model) {
  check_tree(default_model(), {.page_count = 32, .thread_count = 2}, {110});
}

/// Pages that nobody attends to may be there or have been given back.
TEST(NativeExecutorTest, a_page_that_is_masked_whole_may_be_missing) {
  constexpr uint32_t kContext = 400, kBegin = 5 * kPage, kEnd = 19 * kPage;
  const auto model = tiny_model({.heads = 4, .kv_heads = 2});
  const uint32_t vocab = model->info().vocab_size;
  const auto executor = make_native_executor(model, {.page_count = 64, .thread_count = 2}).value();
  std::vector<KvPageId> table, left;
  for (uint32_t p = 0; p < kContext / kPage + 3; ++p) {
    table.emplace_back(p);
    if (p < kBegin / kPage || p >= kEnd / kPage) left.emplace_back(p);
  }
  run(*executor, tokens_at(some_ids(kContext, 3, vocab), 0), table, 0, {});
  for (const uint32_t count : {1U, 5U, 40U}) {
    const auto tokens = tokens_at(some_ids(count, 4, vocab), kContext);
    const MaskRuns hole = {kBegin, kEnd - kBegin, 1000};
    const auto masked = run(*executor, tokens, table, kContext, all_rows(count),
                            std::vector<MaskRuns>(count, hole));
    EXPECT_EQ(run(*executor, tokens, left, kContext - (kEnd - kBegin), all_rows(count)), masked);
    // Some of them may be left.
    std::vector<KvPageId> some = left;
    some.insert(some.begin() + kBegin / kPage, table[9]);
    EXPECT_EQ(run(*executor, tokens, some, kContext - (kEnd - kBegin) + kPage, all_rows(count),
                  std::vector<MaskRuns>(count, MaskRuns{kBegin, kPage, 1000})),
              masked);
  }
}

/// Forks whose masks have the same hole compute what they share together, up to where they differ.
TEST(NativeExecutorTest, forks_behind_holes_get_the_same_bits_alone_and_together) {
  constexpr uint32_t kShared = 40 * kPage, kForks = 24;
  const auto model = tiny_model({.heads = 4, .kv_heads = 2});
  const uint32_t vocab = model->info().vocab_size;
  const ExecutorConfig config{.page_count = 100, .step_tokens_max = kShared, .thread_count = 2};
  const auto executor = make_native_executor(model, config).value();
  std::vector<KvPageId> prefix;
  for (uint32_t p = 0; p < kShared / kPage; ++p) prefix.emplace_back(p);
  run(*executor, tokens_at(some_ids(kShared, 3, vocab), 0), prefix, 0, {});
  const MaskRuns holes[] = {{5, 150, 1000}, {5, 150, 300, 7, 1000}, {3, 2, 2, 148, 1000}, {1000}};
  std::vector<std::vector<KvPageId>> tables(kForks, prefix);
  std::vector<std::vector<StepToken>> tokens;
  std::vector<std::vector<MaskRuns>> masks;
  StepBatch together;
  std::vector<float> alone;
  for (uint32_t i = 0; i < kForks; ++i) {
    tables[i].emplace_back(kShared / kPage + i);
    tokens.push_back(tokens_at(some_ids(i % 5 == 4 ? 2 : 1, i, vocab), kShared));
    masks.emplace_back(tokens[i].size(), holes[i % 4]);
  }
  for (uint32_t i = 0; i < kForks; ++i) {
    const auto last = static_cast<uint32_t>(tokens[i].size()) - 1;
    const auto logits = run(*executor, tokens[i], tables[i], kShared, {last}, masks[i]);
    alone.insert(alone.end(), logits.begin(), logits.end());
    together.slices.push_back({tokens[i], tables[i], kShared, masks[i], {last}, {}});
  }
  const StepOutput output = executor->execute(together).value();
  ASSERT_EQ(output.logits.size(), alone.size());
  EXPECT_EQ(0, std::memcmp(output.logits.data(), alone.data(), alone.size() * sizeof(float)));
}

TEST(NativeExecutorTest, no_cache_gives_the_bits_of_a_cache) {
  const auto executor =
      make_native_executor(default_model(), {.page_count = 64, .thread_count = 2}).value();
  const auto tokens = tokens_at(prose(), 0);
  const auto rows = all_rows(tokens.size());
  EXPECT_EQ(run(*executor, tokens, {}, 0, rows), run(*executor, tokens, pages({9, 3, 5}), 0, rows));
}

/// What is masked changes no bit, whatever it is.
TEST(NativeExecutorTest, masked_slots_have_no_effect_at_all) {
  const auto executor =
      make_native_executor(default_model(), {.page_count = 64, .thread_count = 2}).value();
  const auto after = tokens_at(some_ids(30, 3, 40000), 150);
  const std::vector<MaskRuns> mask(after.size(), MaskRuns{7, 141, 1000});
  const auto table = pages({12, 3, 8, 1, 20, 21, 22, 23, 30, 31, 32, 33});
  std::vector<std::vector<float>> logits;
  for (const uint32_t seed : {5U, 6U}) {
    auto before = tokens_at(some_ids(150, seed, 40000), 0);
    for (const uint32_t kept : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 148U, 149U}) before[kept].id = kept;
    // The kept ones must not see what differs either.
    std::vector<MaskRuns> own(before.size(), MaskRuns{7, 141, 1000});
    run(*executor, before, table, 0, {}, own);
    logits.push_back(run(*executor, after, table, 150, all_rows(30), mask));
  }
  EXPECT_EQ(logits[0], logits[1]);
}

/// Both quantise the activations to 8 bits, each with roundings of its own: docs/NUMERICS.md
/// derives how far apart that puts them.
TEST(NativeExecutorTest, agrees_with_the_reference_executor) {
  constexpr float kTolerance = 2.62F;
  const ExecutorConfig config{.page_count = 64, .thread_count = 1};
  const auto native = make_native_executor(default_model(), config).value();
  const auto reference = make_ggml_executor(default_model(), config).value();
  const auto tokens = tokens_at(prose(), 0);
  const auto rows = all_rows(tokens.size());
  expect_near(run(*native, tokens, pages({1, 2, 3}), 0, rows),
              run(*reference, tokens, pages({1, 2, 3}), 0, rows), kTolerance);
}

TEST(NativeExecutorTest, agrees_with_the_reference_executor_under_an_adapter) {
  constexpr float kTolerance = 2.62F;
  const ExecutorConfig config{.page_count = 64, .thread_count = 2};
  const auto native = make_native_executor(default_model(), config).value();
  const auto reference = make_ggml_executor(default_model(), config).value();
  const auto adapter = test::random_adapter(default_model()->architecture(), {.strength = 0.05F});
  const auto tokens = tokens_at(prose(), 0);
  const auto table = pages({1, 2, 3});
  const auto logits = [&](LogitsExecutor& executor, const model::Adapter* under) {
    StepBatch batch;
    batch.slices.push_back({tokens, table, 0, {}, all_rows(tokens.size()), {}});
    batch.slices.back().adapter = under;
    const StepOutput output = executor.execute(batch).value();
    return std::vector<float>(output.logits.begin(), output.logits.end());
  };
  expect_near(logits(*native, adapter.get()), logits(*reference, adapter.get()), kTolerance);
  EXPECT_NE(logits(*native, adapter.get()), logits(*native, nullptr));
}

/// What the formats cost is measured in docs/NUMERICS.md: the differences are those of activations'
/// own roundings, which page formats move.
TEST(NativeExecutorTest, pages_of_bf16_and_q8_stay_close_to_f16) {
  const auto tokens = tokens_at(prose(), 0);
  const auto rows = all_rows(tokens.size());
  const auto logits = [&](KvFormat format) {
    const auto executor =
        make_native_executor(default_model(), {.page_count = 8, .kv_format = format}).value();
    EXPECT_THAT(executor->layout_id().value(), testing::HasSubstr(kv_format_name(format)));
    return run(*executor, tokens, pages({1, 2, 3}), 0, rows);
  };
  const auto f16 = logits(KvFormat::kF16);
  for (const KvFormat format : {KvFormat::kBf16, KvFormat::kQ8}) {
    SCOPED_TRACE(kv_format_name(format));
    const auto other = logits(format);
    EXPECT_NE(other, f16);
    double squares = 0;
    for (size_t i = 0; i < f16.size(); ++i) squares += (other[i] - f16[i]) * (other[i] - f16[i]);
    const double rms = std::sqrt(squares / static_cast<double>(f16.size()));
    std::printf("%s: rms %.4f\n", kv_format_name(format), rms);
    EXPECT_LT(rms, 0.25);
  }
}

TEST(NativeExecutorTest, a_q8_page_takes_half_the_memory_of_an_f16_one) {
  const auto bytes = [](KvFormat format) {
    return make_native_executor(default_model(), {.page_count = 8, .kv_format = format})
        .value()
        ->page_bytes();
  };
  EXPECT_EQ(bytes(KvFormat::kBf16), bytes(KvFormat::kF16));
  // 64 elements of a head, and a scale: 68 bytes instead of 128.
  EXPECT_EQ(bytes(KvFormat::kQ8) * 128, bytes(KvFormat::kF16) * 68);
}

TEST(NativeExecutorTest, formats_of_pages_are_named_and_the_reference_has_one) {
  EXPECT_EQ(parse_kv_format("bf16").value(), KvFormat::kBf16);
  const auto wrong = parse_kv_format("q4");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().message, "[kv_format] got 'q4', expected f16, bf16 or q8");
  const auto reference =
      make_ggml_executor(tiny_model(), {.page_count = 4, .kv_format = KvFormat::kQ8});
  ASSERT_FALSE(reference.ok());
  EXPECT_EQ(reference.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(reference.error().message, testing::HasSubstr("got K/V pages of q8, expected f16"));
}

TEST(NativeExecutorTest, what_it_does_not_serve_is_named) {
  const auto type = make_native_executor(
      tiny_model({.embedding = 256, .ffn = 256, .matrix_type = GGML_TYPE_Q2_K}), {.page_count = 4});
  ASSERT_FALSE(type.ok());
  EXPECT_EQ(type.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(type.error().message, testing::HasSubstr("q2_K"));
  const auto page = make_native_executor(tiny_model(), {.page_count = 4, .page_size = 32});
  ASSERT_FALSE(page.ok());
  EXPECT_EQ(page.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace pie::exec
