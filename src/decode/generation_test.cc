#include "decode/generation.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <future>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>

#include "decode/running_generation.h"
#include "engine/test_rig.h"

namespace pie::decode {
namespace {

using engine::kA;
using engine::RecallExecutor;
using Tokens = std::vector<TokenId>;

/// Token 3 is "3 ".
class NumberTokenizer final : public model::Tokenizer {
 public:
  std::unique_ptr<model::Tokenization> start(std::string) const override { return nullptr; }
  std::string detokenize(std::span<const TokenId> tokens) const override {
    std::string text;
    for (const TokenId token : tokens) text += token_bytes(token);
    return text;
  }
  size_t detokenized_size(std::span<const TokenId> tokens) const override {
    return detokenize(tokens).size();
  }
  uint32_t vocab_size() const override { return RecallExecutor::kVocab; }
  std::string token_bytes(TokenId token) const override { return std::to_string(token) + " "; }
  std::vector<std::pair<TokenId, std::string>> special_tokens() const override { return {}; }
  std::vector<TokenId> control_tokens() const override { return {}; }
  const std::string& split_regex() const override { return none_; }

 private:
  const std::string none_;
};

/// Lets one text come, and nothing after it.
class OneText final : public Constraint {
 public:
  OneText(Tokens text, std::chrono::microseconds took) : text_(std::move(text)), took_(took) {}
  Result<std::vector<uint32_t>> mask() override {
    const auto end = std::chrono::steady_clock::now() + took_;
    while (std::chrono::steady_clock::now() < end) {
    }
    std::vector<uint32_t> words((RecallExecutor::kVocab + 31) / 32);
    if (at_ < text_.size()) words[text_[at_] / 32] |= 1U << (text_[at_] % 32);
    return words;
  }
  size_t count_valid(std::span<const TokenId> tokens) override {
    size_t count = 0;
    while (count < tokens.size() && at_ + count < text_.size() &&
           text_[at_ + count] == tokens[count])
      ++count;
    return count;
  }
  Result<void> accept(std::span<const TokenId> tokens) override {
    if (count_valid(tokens) < tokens.size())
      return Error{ErrorCode::kInvalidArgument, "another token"};
    at_ += tokens.size();
    return {};
  }
  Result<void> rollback(size_t count) override {
    at_ -= count;
    return {};
  }
  Tokens forced() override { return {text_.begin() + static_cast<ptrdiff_t>(at_), text_.end()}; }
  bool is_complete() override { return at_ == text_.size(); }

 private:
  const Tokens text_;
  const std::chrono::microseconds took_;
  size_t at_ = 0;
};

struct Outcome {
  Tokens tokens;
  std::string text;
  GenerationEnd end;
  size_t pieces = 0;
  size_t detail_count = 0;
};

/// Generations on a real engine, whose next token is a hash of all tokens that a row sees.
struct GenerationTest : testing::Test {
  GenerationTest() : rig(256, 64), queue(rig.open(kA)) {}

  GenerationRequest request(uint32_t tokens_max, uint32_t page_count = 40) {
    GenerationRequest one;
    const auto pages = rig.engine->allocate(queue, 0, page_count).value();
    for (const uint32_t page : pages) one.pages.emplace_back(page);
    one.pending = {11, 12, 13, 14, 15};
    one.tokens_max = tokens_max;
    one.drafting.tokens_max = 0;
    return one;
  }
  Result<std::unique_ptr<Generation>> make(GenerationRequest one) {
    return Generation::create(
        std::move(one), tokenizer,
        {.page_size = rig.engine->page_size(), .vocab_size = RecallExecutor::kVocab});
  }
  Outcome run(GenerationRequest one, Tokens suggestion = {}, SlowWork slow = {}) {
    auto generation = make(std::move(one));
    EXPECT_TRUE(generation.ok()) << generation.error().message;
    if (!suggestion.empty()) (*generation)->suggest(0, std::move(suggestion));
    Outcome outcome;
    std::promise<void> done;
    const auto running = std::make_shared<RunningGeneration>(
        *rig.engine, queue, std::move(generation).value(),
        RunningGeneration::Listener{.piece =
                                        [&](Piece piece) {
                                          outcome.tokens.insert(outcome.tokens.end(),
                                                                piece.tokens.begin(),
                                                                piece.tokens.end());
                                          outcome.text += piece.text;
                                          outcome.detail_count += piece.details.size();
                                          ++outcome.pieces;
                                        },
                                    .end =
                                        [&](const GenerationEnd& end) {
                                          outcome.end = end;
                                          done.set_value();
                                        },
                                    .failure =
                                        [&](const Error& error) {
                                          ADD_FAILURE() << error.message;
                                          done.set_value();
                                        }},
        std::move(slow));
    EXPECT_TRUE(running->start().ok());
    done.get_future().wait();
    return outcome;
  }
  /// The same by passes of a program's own.
  Tokens step_by_step(uint32_t count) {
    engine::Sequence sequence(*rig.engine, queue);
    Tokens last = {11, 12, 13, 14, 15}, tokens;
    while (tokens.size() < count) {
      auto output = engine::submit(*rig.engine, queue, sequence.append(last)).get();
      last = {output->tokens.front()};
      tokens.push_back(last.front());
    }
    return tokens;
  }

  NumberTokenizer tokenizer;
  engine::Rig rig;
  QueueId queue;
};

TEST_F(GenerationTest, gives_what_step_by_step_gives_one_pass_a_token) {
  const Outcome outcome = run(request(40));
  EXPECT_EQ(outcome.tokens, step_by_step(40));
  EXPECT_EQ(outcome.text, tokenizer.detokenize(outcome.tokens));
  EXPECT_EQ(outcome.end.reason, EndReason::kTokensMax);
  EXPECT_EQ(outcome.end.tokens, 40U);
  EXPECT_EQ(outcome.end.passes, 40U);
  EXPECT_EQ(outcome.end.context_len, 5U + 39U) << "all but the last are computed";
  EXPECT_EQ(outcome.pieces, 40U);
}

TEST_F(GenerationTest, right_drafts_save_passes_and_change_nothing) {
  const Tokens expected = step_by_step(40);
  GenerationRequest one = request(40);
  one.drafting = {.tokens_max = 16, .match_min = 1, .sources = {{15}}};
  one.drafting.sources[0].insert(one.drafting.sources[0].end(), expected.begin(), expected.end());
  const Outcome outcome = run(std::move(one));
  EXPECT_EQ(outcome.tokens, expected);
  EXPECT_LT(outcome.end.passes, 8U);
  EXPECT_GT(outcome.end.accepted, 30U);
  EXPECT_EQ(outcome.end.context_len, 5U + 39U);
}

TEST_F(GenerationTest, wrong_drafts_change_nothing_either) {
  const Tokens expected = step_by_step(60);
  for (const size_t wrong_from : {0, 1, 3, 4, 7, 20}) {
    GenerationRequest one = request(60);
    Tokens source = expected;
    for (size_t i = wrong_from; i < source.size(); i += 5) source[i] = 999;
    source.insert(source.begin(), 15);
    one.drafting = {.tokens_max = 16, .match_min = 1, .sources = {source}};
    const Outcome outcome = run(std::move(one));
    EXPECT_EQ(outcome.tokens, expected) << wrong_from;
    EXPECT_GT(outcome.end.drafted, outcome.end.accepted);
  }
}

TEST_F(GenerationTest, a_suggestion_is_tried_first) {
  const Tokens expected = step_by_step(20);
  const Outcome outcome = run(request(20), Tokens(expected.begin(), expected.begin() + 15));
  EXPECT_EQ(outcome.tokens, expected);
  EXPECT_EQ(outcome.end.accepted, 15U);
  EXPECT_EQ(outcome.end.passes, 5U);
}

TEST_F(GenerationTest, ends_with_a_stop_token_also_in_the_middle_of_a_draft) {
  const Tokens expected = step_by_step(20);
  for (const bool has_draft : {false, true}) {
    GenerationRequest one = request(20);
    one.stop_tokens = {expected[6]};
    const Tokens draft = has_draft ? Tokens(expected.begin(), expected.begin() + 12) : Tokens{};
    const Outcome outcome = run(std::move(one), draft);
    EXPECT_EQ(outcome.end.reason, EndReason::kStopToken);
    EXPECT_EQ(outcome.tokens, Tokens(expected.begin(), expected.begin() + 7));
    EXPECT_EQ(outcome.text, tokenizer.detokenize(std::span(expected).first(6)));
    EXPECT_EQ(outcome.end.context_len, 5U + 6U);
  }
}

TEST_F(GenerationTest, ends_before_a_stop_text) {
  const Tokens expected = step_by_step(20);
  GenerationRequest one = request(20);
  one.stop_texts = {std::to_string(expected[4]) + " " + std::to_string(expected[5])};
  const Outcome outcome = run(std::move(one));
  EXPECT_EQ(outcome.end.reason, EndReason::kStopText);
  EXPECT_EQ(outcome.text, tokenizer.detokenize(std::span(expected).first(4)));
  EXPECT_EQ(outcome.end.tokens, 6U);
}

TEST_F(GenerationTest, ends_when_its_pages_are_full_and_goes_on_in_more) {
  const Tokens expected = step_by_step(30);
  GenerationRequest one = request(30, 5);  // pages of 4 tokens
  const std::vector<VirtualPage> pages = one.pages;
  const Outcome first = run(std::move(one));
  EXPECT_EQ(first.end.reason, EndReason::kRoom);
  EXPECT_EQ(first.end.context_len, 20U);
  ASSERT_EQ(first.tokens.size(), 16U) << "the last one is not in the pages";
  GenerationRequest rest = request(14, 20);
  std::vector<VirtualPage> all = pages;
  all.insert(all.end(), rest.pages.begin(), rest.pages.end());
  rest.pages = all;
  rest.context_len = 20;
  rest.position = 20;
  rest.pending = {first.tokens.back()};
  const Outcome second = run(std::move(rest));
  EXPECT_EQ(second.tokens, Tokens(expected.begin() + 16, expected.end()));
}

TEST_F(GenerationTest, seeded_draws_are_the_same_with_drafts_and_in_another_instance) {
  GenerationRequest one = request(50);
  one.sampling.params = {.temperature = 1.0F};
  one.sampling.seed = 42;
  one.wants_details = true;
  GenerationRequest drafted = one;
  const Outcome plain = run(std::move(one));
  EXPECT_EQ(plain.detail_count, 50U);
  drafted.drafting = {.tokens_max = 8, .match_min = 1, .sources = {{15}}};
  auto& source = drafted.drafting.sources[0];
  source.insert(source.end(), plain.tokens.begin(), plain.tokens.end());
  queue = rig.open(engine::kB);
  drafted.pages = request(50).pages;
  const Outcome again = run(std::move(drafted));
  EXPECT_EQ(again.tokens, plain.tokens);
  EXPECT_LT(again.end.passes, 25U);
}

TEST_F(GenerationTest, draws_by_position_wherever_its_slots_are) {
  GenerationRequest one = request(50);
  one.context_len = 8;  // of a text whose first pages were given back
  one.position = 1'000;
  one.sampling.seed = 42;
  one.drafting = {.tokens_max = 8, .match_min = 1, .sources = {{15, 21, 22}}};
  auto generation = make(std::move(one));
  ASSERT_TRUE(generation.ok());
  const auto pass = (*generation)->next_pass();
  ASSERT_EQ(pass->tokens.size(), 3U) << "the draft's rows are drawn, too";
  for (const engine::TokenSlot& row : pass->tokens) {
    EXPECT_EQ(row.draw->seed, 42U);
    EXPECT_EQ(row.draw->position, pass->inputs.at(row.index).position + 1);
    EXPECT_EQ(row.draw->position, 1'001U + row.index);
  }
}

TEST_F(GenerationTest, mirostat_goes_on_where_another_generation_came_to) {
  GenerationRequest one = request(50);
  one.sampling.mirostat = {.target = 3.0F, .rate = 0.5F};
  GenerationRequest rest = one;
  const auto allowed_by = [](Generation& generation) {
    return generation.next_pass()->tokens.at(0).sampler.surprise_max;
  };
  auto generation = make(std::move(one));
  ASSERT_TRUE(generation.ok());
  EXPECT_EQ(allowed_by(**generation), 6.0F);
  engine::ForwardOutput output;
  output.tokens = {7};
  output.details = {{.surprise = 5.0F}};
  (*generation)->take(std::move(output));
  EXPECT_EQ((*generation)->take_piece().surprise_max, std::vector<float>{5.0F});
  EXPECT_EQ(allowed_by(**generation), 5.0F);
  rest.sampling.mirostat->surprise_max = 5.0F;
  EXPECT_EQ(allowed_by(**make(rest)), 5.0F);
  rest.sampling.mirostat->surprise_max = 0.0F;
  EXPECT_FALSE(make(std::move(rest)).ok());
}

TEST_F(GenerationTest, attends_to_what_it_is_told) {
  using Row = std::vector<uint32_t>;
  const std::vector<VirtualPage> pages = request(1).pages;
  const auto pass_of = [&](Tokens tokens, uint32_t context) {
    engine::ForwardPass pass;
    for (const TokenId token : tokens)
      pass.inputs.push_back(
          {.token = token, .position = context + static_cast<uint32_t>(pass.inputs.size())});
    const auto length = static_cast<uint32_t>(context + tokens.size());
    pass.pages.assign(pages.begin(), pages.begin() + (length + 3) / 4);
    pass.last_page_len = (length - 1) % 4 + 1;
    return pass;
  };
  const auto expect = [&](const Attention& attention, const std::function<Row(uint32_t)>& row) {
    EXPECT_TRUE(engine::submit(*rig.engine, queue, pass_of({11, 12, 13, 14, 15}, 0)).get().ok());
    Tokens expected;
    for (TokenId last = 21; expected.size() < 12; last = expected.back()) {
      const auto slot = static_cast<uint32_t>(5 + expected.size());
      engine::ForwardPass pass = pass_of({last}, slot);
      pass.mask = {row(slot)};
      pass.tokens = {{.index = 0}};
      expected.push_back(engine::submit(*rig.engine, queue, std::move(pass)).get()->tokens.at(0));
    }
    GenerationRequest one;
    one.pages = pages;
    one.context_len = one.position = 5;
    one.pending = {21};
    one.attention = attention;
    one.tokens_max = 12;
    one.drafting = {.tokens_max = 4, .match_min = 1, .sources = {expected}};
    EXPECT_EQ(run(std::move(one)).tokens, expected);
  };
  expect(AttendAll{}, [](uint32_t slot) { return Row{slot + 1}; });
  expect(AttendRuns{{0, 5}}, [](uint32_t slot) { return Row{0, 5, slot - 4}; });
  expect(AttendRuns{{2, 1}}, [](uint32_t slot) { return Row{2, 3, slot - 4}; });
  expect(AttendRuns{{2, 1, 1}}, [](uint32_t slot) { return Row{2, 1, 1, 1, slot - 4}; });
  expect(AttendRuns{{2, 1, 2}}, [](uint32_t slot) { return Row{2, 1, slot - 2}; });
  expect(AttendRuns{}, [](uint32_t slot) { return Row{0, 5, slot - 4}; });
  expect(AttendWindow{.sink = 2, .length = 6},
         [](uint32_t slot) { return slot < 8 ? Row{slot + 1} : Row{2, slot - 7, 6}; });
  expect(AttendWindow{.sink = 0, .length = 1}, [](uint32_t slot) { return Row{0, slot, 1}; });
}

TEST_F(GenerationTest, a_constraint_decides_and_what_it_forces_is_drafted) {
  const Tokens text = {7, 300, 7, 7, 999, 0, 512, 31, 32, 64, 5, 6};
  for (const uint32_t draft : {0U, 16U}) {
    GenerationRequest one = request(100);
    one.drafting.tokens_max = draft;
    one.sampling.params.temperature = 1.0F;
    one.constraint = std::make_shared<OneText>(text, std::chrono::microseconds(0));
    const Outcome outcome = run(std::move(one));
    EXPECT_EQ(outcome.tokens, text);
    EXPECT_EQ(outcome.end.reason, EndReason::kComplete);
    EXPECT_EQ(outcome.end.passes, draft == 0 ? 12U : 2U);
  }
}

TEST_F(GenerationTest, a_slow_constraint_is_asked_beside_the_engine_thread) {
  WorkQueue beside({.name = "slow"});
  const auto cpu = std::make_shared<Quota>("CPU time", "ns", 0);
  GenerationRequest one = request(100);
  const Tokens text(20, 9);
  one.constraint = std::make_shared<OneText>(text, std::chrono::microseconds(1'000));
  const Outcome outcome = run(std::move(one), {}, SlowWork{&beside, "ann", cpu});
  EXPECT_EQ(outcome.tokens, text);
  EXPECT_EQ(outcome.text, tokenizer.detokenize(text)) << "in order";
  EXPECT_GT(cpu->used(), 15'000'000U);
  beside.stop(WorkQueue::Rest::kDrop);
}

TEST_F(GenerationTest, a_cancelled_one_ends_with_what_it_has) {
  auto generation = make(request(1'000'000, 200));
  ASSERT_TRUE(generation.ok());
  std::promise<GenerationEnd> ended;
  std::promise<void> begun;
  std::once_flag once;
  uint32_t told = 0;
  const auto running = std::make_shared<RunningGeneration>(
      *rig.engine, queue, std::move(generation).value(),
      RunningGeneration::Listener{
          .piece =
              [&](const Piece& piece) {
                told += static_cast<uint32_t>(piece.tokens.size());
                std::call_once(once, [&] { begun.set_value(); });
              },
          .end = [&](const GenerationEnd& end) { ended.set_value(end); },
          .failure = [](const Error& error) { ADD_FAILURE() << error.message; }});
  ASSERT_TRUE(running->start().ok());
  begun.get_future().wait();
  running->cancel();
  const GenerationEnd end = ended.get_future().get();
  EXPECT_EQ(end.reason, EndReason::kCancelled);
  EXPECT_EQ(end.tokens, told);
  EXPECT_EQ(end.context_len, 5 + end.tokens - 1);
}

TEST_F(GenerationTest, a_pass_that_was_made_is_not_submitted_after_a_cancellation) {
  WorkQueue beside({.name = "slow work", .thread_count = 1});
  GenerationRequest one = request(1'000);
  std::vector<uint32_t> pages;
  for (const VirtualPage page : one.pages) pages.push_back(page.value);
  auto generation = make(std::move(one));
  ASSERT_TRUE(generation.ok());
  std::promise<GenerationEnd> ended;
  std::promise<void> made, cancelled;
  uint32_t pieces = 0;
  const auto running = std::make_shared<RunningGeneration>(
      *rig.engine, queue, std::move(generation).value(),
      RunningGeneration::Listener{
          .piece =
              [&](const Piece&) {
                // After a turn that was slow the next one tells before it submits.
                if (++pieces == 1) std::this_thread::sleep_for(std::chrono::milliseconds(3));
                if (pieces != 2) return;
                made.set_value();
                cancelled.get_future().wait();
              },
          .end = [&](const GenerationEnd& end) { ended.set_value(end); },
          .failure = [](const Error& error) { ADD_FAILURE() << error.message; }},
      SlowWork{&beside, "ann", nullptr});
  ASSERT_TRUE(running->start().ok());
  made.get_future().wait();
  running->cancel();
  EXPECT_TRUE(rig.engine->deallocate(queue, 0, pages).ok());  // the pages are the program's
  cancelled.set_value();
  const GenerationEnd end = ended.get_future().get();
  EXPECT_EQ(end.reason, EndReason::kCancelled);
  EXPECT_EQ(end.tokens, 2U);
  beside.stop(WorkQueue::Rest::kDrop);
}

TEST_F(GenerationTest, what_cannot_be_is_refused_with_the_value_and_the_bound) {
  const GenerationRequest good = request(10, 4);
  const auto refusal = [&](auto&& change) {
    GenerationRequest bad = good;
    change(bad);
    const auto made = make(std::move(bad));
    return made.ok() ? "accepted" : made.error().message;
  };
  EXPECT_EQ(refusal([](auto& one) { one.pending.clear(); }),
            "[generate] got no pending tokens, expected at least one");
  EXPECT_EQ(refusal([](auto& one) { one.pending = {1000}; }),
            "[generate] got token id 1000 in the pending ones, expected < 1000");
  EXPECT_EQ(refusal([](auto& one) { one.context_len = 12; }),
            "[generate] got 4 pages that hold 16 tokens, expected room for 17: 12 of the context "
            "and 5 pending");
  EXPECT_EQ(refusal([](auto& one) { one.sampling.params.top_p = NAN; }),
            "[generate] got top-p nan, expected 0 to 1");
  EXPECT_EQ(refusal([](auto& one) { one.sampling.penalties.window = 5000; }),
            "[generate] got a penalty window of 5000 tokens, expected at most 4096");
  EXPECT_EQ(refusal([](auto& one) { one.attention = AttendRuns{{3, UINT32_MAX}}; }),
            "[generate] got attention runs over 4294967298 slots, expected at most the 0 of the "
            "context");
  EXPECT_EQ(refusal([](auto& one) { one.drafting.match_min = 33; }),
            "[generate] got look-ups of 33 equal tokens, expected at most 32");
  EXPECT_EQ(refusal([](auto& one) { one.ranked = 65; }),
            "[generate] got 65 ranked tokens, expected at most 64");
  EXPECT_EQ(refusal([](auto& one) { one.tokens_max = 0; }),
            "[generate] got at most 0 tokens, expected at least 1");
}

}  // namespace
}  // namespace pie::decode
