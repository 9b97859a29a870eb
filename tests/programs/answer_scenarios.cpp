// That Context::generate gives the same answer in the engine's own loop as step by step. The first
// argument names a scenario; it returns "NAME: passed", or fails with what was different.
#include <pie/inferlet.h>
#include <pie/lift.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <map>

#include "scenario.h"

namespace {

using inferlet::Context;
using inferlet::Result;
using inferlet::Sampler;
using inferlet::Stop;
using inferlet::Task;
using namespace std::chrono_literals;

constexpr std::string_view kStory =
    "Once upon a time a small robot lived in a lighthouse by the sea. Every evening it lit the "
    "lamp, counted the ships and wrote their names into a book. One evening a ship came that had "
    "no name";

Context filled(std::string_view text) {
  Context context = must(Context::create());
  must(context.fill(text));
  return context;
}

/// The same, asked of the program token by token.
Stop by_steps(const Stop& stop) {
  return stop | Stop::when([](auto) { return false; });
}

size_t steps(const inferlet::Queue& queue) {
  namespace abi = inferlet::abi;
  const abi::Handle query = abi::queue_debug_query(queue.handle(), "", 0);
  inferlet::Pollable(abi::debug_query_pollable(query)).block();
  abi::Option<abi::Text> out;
  abi::debug_query_get(query, &out);
  const std::string text = inferlet::lift::text(out.value);
  abi::debug_query_drop(query);
  constexpr std::string_view kName = "\nsteps: ";
  return std::strtoul(text.c_str() + text.find(kName) + kName.size(), nullptr, 10);
}

/// Both contexts answer, one in each way, and are the same afterwards.
Task<void> compare(Context& fused, Context& stepped, Sampler sampler, Stop stop, std::string what) {
  std::string streamed;
  const std::string got = must(
      co_await fused.generate(sampler, stop, [&](std::string_view piece) { streamed += piece; }));
  const std::string wanted = must(co_await stepped.generate(sampler, by_steps(stop)));
  expect(got == wanted, what + ": " + got + " / " + wanted);
  expect(streamed == got, what + ": streamed " + streamed);
  expect(fused.tokens() == stepped.tokens(), what + ": other tokens");
  expect(fused.kv_page_count() == stepped.kv_page_count(), what + ": other pages");
  expect(fused.size() - 1 <= fused.kv_page_count() * fused.model().kv_page_size(), what);
}

Task<void> greedy_and_seeded_texts_of_any_length() {
  const std::vector<std::pair<std::string, Sampler>> samplers = {
      {"greedy", Sampler::greedy()},
      {"seeded", Sampler::multinomial(0.9F).with_seed(7)},
      {"top-p & min-p", (Sampler::top_p(0.9F, 0.9F) & Sampler::min_p(0.9F, 0.02F)).with_seed(8)},
      {"typical", Sampler::typical(1.0F, 0.8F).with_seed(9)},
      {"xtc", Sampler::top_k_top_p(1.0F, 40, 0.95F).with_xtc(0.5F, 0.1F).with_seed(10)},
      {"penalty", Sampler::greedy().with_penalties({.repetition = 1.3F}, 20)},
      {"of all", Sampler::top_k(0.8F, 50).with_penalties({.repetition = 1.1F}).with_seed(3)},
      {"bias", Sampler::greedy().with_bias({{11, -8.0F}, {13, -4.0F}, {11, -4.0F}})},
      {"counted", Sampler::multinomial(0.9F)
                      .with_penalties({.presence = 0.5F, .frequency = 0.4F}, 60)
                      .with_seed(11)},
  };
  const size_t page = filled("x").model().kv_page_size();
  for (const auto& [name, sampler] : samplers) {
    Context fused = filled(kStory), stepped = filled(kStory);
    for (const size_t length : {size_t{1}, page, 3 * page + 1, size_t{133}})
      co_await compare(fused, stepped, sampler, Stop::max_len(length),
                       name + " " + std::to_string(length));
  }
}

Task<void> ends_are_those_of_the_program() {
  Context root = filled(kStory);
  const size_t begin = root.size();
  Context known = root.fork();
  must(co_await known.generate(Sampler::greedy(), by_steps(Stop::max_len(40))));
  const std::vector<uint32_t> tokens = known.tokens();
  const auto part = [&](size_t at, size_t count) {
    const auto first = tokens.begin() + static_cast<ptrdiff_t>(begin + at);
    return std::vector<uint32_t>(first, first + static_cast<ptrdiff_t>(count));
  };
  for (const size_t count : {1, 2, 5})
    for (const size_t at : {0, 3, 20}) {
      Context fused = root.fork(), stepped = root.fork();
      const Stop stop = Stop::max_len(40) | Stop::ends_with_any({part(at, count), {1, 2, 3}});
      co_await compare(fused, stepped, Sampler::greedy(), stop,
                       std::to_string(count) + " tokens at " + std::to_string(at));
    }
}

Task<void> forks_and_masks() {
  const size_t page = filled("x").model().kv_page_size();
  for (const size_t more : {size_t{0}, size_t{1}, page - 1}) {
    Context root = filled(kStory);
    while (root.size() % page != more) must(root.fill_tokens(std::array<uint32_t, 1>{100}));
    must(co_await root.flush());
    const std::vector<uint32_t> had = root.tokens();
    Context fused = root.fork(), stepped = root.fork();
    co_await compare(fused, stepped, Sampler::greedy(), Stop::max_len(page + 2), "a fork");
    expect(root.tokens() == had, "the root changed");
    // What the forks wrote is not in the root's pages.
    Context fresh = must(Context::create());
    must(fresh.fill_tokens(had));
    co_await compare(root, fresh, Sampler::greedy(), Stop::max_len(10), "the root");
  }
  Context fused = filled(kStory), stepped = filled(kStory);
  for (Context* one : {&fused, &stepped}) {
    must(co_await one->flush());
    one->mask_token_range(3, 20);
  }
  for (const size_t length : {5, 140}) {
    co_await compare(fused, stepped, Sampler::greedy(), Stop::max_len(length), "masked");
    for (Context* one : {&fused, &stepped}) one->mask_token_range(25, 33);
  }
  for (Context* one : {&fused, &stepped}) {
    one->mask_token_range(0, 2 * page);
    expect(one->drop_masked_pages() > 0, "no page went");
  }
  co_await compare(fused, stepped, Sampler::multinomial(1.0F).with_seed(4), Stop::max_len(30),
                   "dropped pages");
}

Task<void> conversations() {
  Context fused = must(Context::create()), stepped = must(Context::create());
  for (const char* turn : {"Name three colours.", "And three fruits.", "Count to five."}) {
    for (Context* one : {&fused, &stepped}) one->fill_user(turn);
    co_await compare(fused, stepped, Sampler::greedy(),
                     Stop::max_len(30) | Stop::end_of_turn(fused.model()), turn);
  }
}

Task<void> a_dropped_answer_leaves_the_context_usable() {
  for (const bool is_shown : {false, true})
    for (const auto patience : {0ms, 30ms, 200ms}) {
      Context context = filled(kStory);
      const size_t before = context.size();
      Context::OnText on_text;
      if (is_shown) on_text = [](std::string_view) {};
      const auto none = co_await inferlet::with_timeout(
          context.generate(Sampler::greedy(), Stop::max_len(2'000), on_text), patience);
      expect(!none.has_value(), "2,000 tokens in no time");
      if (patience == 200ms) expect(context.size() > before, "no token came");
      Context fresh = must(Context::create());
      must(fresh.fill_tokens(context.tokens()));
      co_await compare(context, fresh, Sampler::greedy(), Stop::max_len(20), "after it");
    }
}

Task<void> what_comes_again_takes_fewer_steps() {
  Context context = filled("one two three one two three one two three one two three one");
  const size_t began = steps(context.queue());
  must(co_await context.generate(Sampler::greedy(), Stop::max_len(60)));
  const size_t took = steps(context.queue()) - began;
  expect(took < 50, std::to_string(took) + " steps for 60 tokens");
}

Task<void> what_a_grammar_lets_come() {
  const auto model = must(inferlet::default_model());
  const auto schema = must(inferlet::Grammar::json_schema(
      model,
      R"({"type": "object", "properties": {"name": {"type": "string", "maxLength": 12},)"
      R"("age": {"type": "integer", "minimum": 0, "maximum": 99}}, "required": ["name", "age"],)"
      R"("additionalProperties": false})"));
  const auto numbers = must(inferlet::Grammar::regex(model, "[0-9]{1,200}( [0-9]{1,3}){2}"));
  for (const auto* grammar : {&schema, &numbers})
    for (const size_t length : {8, 300}) {
      Context fused = filled(kStory), stepped = filled(kStory);
      inferlet::Matcher a(*grammar), b(*grammar);
      const Sampler sampler = Sampler::multinomial(0.9F).with_seed(length);
      const Stop stop = Stop::max_len(length);
      const auto got = must(co_await fused.generate(sampler, stop, {.matcher = &a}));
      const auto wanted = must(co_await stepped.generate(sampler, by_steps(stop), {.matcher = &b}));
      const std::string what = std::to_string(length) + ": " + got.text + " / " + wanted.text;
      expect(got.text == wanted.text && got.tokens == wanted.tokens, what);
      expect(fused.tokens() == stepped.tokens(), "other tokens, " + what);
      expect(a.is_complete() == b.is_complete() && a.is_complete() == (length == 300), what);
      expect(wanted.passes == wanted.tokens.size() && got.passes <= got.tokens.size(), what);
      if (length == 300) expect(!got.text.contains('<'), "it shows its end: " + got.text);
    }
}

Task<void> penalties_and_mirostat_run_in_the_engine() {
  const std::vector<std::pair<std::string, std::function<Sampler()>>> samplers = {
      {"mirostat", [] { return Sampler::mirostat(1.0F, 3.0F).with_seed(5); }},
      {"mirostat & penalties",
       [] {
         return Sampler::mirostat(0.9F, 4.0F, 0.3F)
             .with_penalties({.repetition = 1.1F, .presence = 0.5F, .frequency = 0.2F}, 50)
             .with_seed(6);
       }},
  };
  for (const auto& [name, make] : samplers) {
    // A sampler that adapts itself is of one text.
    const Sampler a = make(), b = make();
    Context fused = filled(kStory), stepped = filled(kStory);
    for (const size_t length : {size_t{3}, size_t{150}, size_t{20}}) {
      // What the engine's loop alone has.
      const auto got =
          must(co_await fused.generate(a, Stop::max_len(length), {.log_probabilities = true}));
      const auto wanted = must(co_await stepped.generate(b, by_steps(Stop::max_len(length))));
      expect(got.text == wanted, name + ": " + got.text + " / " + wanted);
      expect(fused.tokens() == stepped.tokens(), name + ": other tokens");
    }
  }
  for (const inferlet::Penalty penalty :
       {inferlet::Penalty{.presence = 0.7F}, inferlet::Penalty{.frequency = 0.3F}}) {
    Context fused = filled(kStory);
    must(co_await fused.generate(Sampler::greedy().with_penalties(penalty), Stop::max_len(2),
                                 {.log_probabilities = true}));
  }
}

/// Where the next token has another position than the one behind what is computed.
Task<void> positions_are_the_program_s() {
  for (const bool is_pending : {true, false}) {
    Context fused = filled(kStory), stepped = filled(kStory);
    for (Context* one : {&fused, &stepped}) {
      if (!is_pending) must(co_await one->flush());
      one->set_position(one->position() + 40);
      if (is_pending) must(one->fill(" and"));
    }
    co_await compare(fused, stepped, Sampler::multinomial(0.8F).with_seed(2), Stop::max_len(20),
                     "moved");
    expect(fused.position() == stepped.position(), "another position");
  }
}

Task<void> log_probabilities_are_those_of_a_pass() {
  Context context = filled(kStory);
  Context same = context.fork();
  const auto said = must(co_await context.generate(
      Sampler::multinomial(1.0F).with_seed(3), Stop::max_len(150), {.log_probabilities = true}));
  const size_t before = same.size();
  const auto wanted = must(co_await same.log_probabilities(said.tokens));
  expect(said.log_probabilities == wanted, "other log-probabilities");
  expect(same.size() == before, "the tokens stayed");
  // And it goes on as if nobody had asked.
  Context fresh = filled(kStory);
  co_await compare(same, fresh, Sampler::greedy(), Stop::max_len(20), "behind them");
  const auto logits = must(co_await fresh.next_logits());
  const uint32_t best = must(co_await fresh.decode_step(Sampler::greedy()));
  expect(logits[best] == std::ranges::max(logits), "the best token has not the best logit");
  const auto refused = co_await fresh.generate(Sampler::greedy(), by_steps(Stop::max_len(2)),
                                               {.log_probabilities = true});
  expect(!refused, "log-probabilities step by step");
}

Task<void> windows() {
  for (const size_t sink : {0, 4}) {
    Context fused = filled(kStory), stepped = filled(kStory);
    for (Context* one : {&fused, &stepped}) one->attend_to_window(sink, 24);
    std::string greedy;
    // Which pages are left differs: the engine gives them back between its runs. A draw is that of
    // its position, whichever have gone by then.
    for (const Sampler& sampler : {Sampler::greedy(), Sampler::multinomial(1.0F).with_seed(8)}) {
      for (const size_t length : {5, 200}) {
        const auto got = must(co_await fused.generate(sampler, Stop::max_len(length)));
        const auto wanted =
            must(co_await stepped.generate(sampler, by_steps(Stop::max_len(length))));
        expect(got == wanted && fused.position() == stepped.position(), got + " / " + wanted);
        if (greedy.size() < 200) greedy += got;
      }
    }
    expect(stepped.kv_page_count() <= 4, std::to_string(stepped.kv_page_count()) + " pages");
    // A run of the engine's is 128 tokens at most; what lies behind the window goes back before it.
    expect(fused.attended() < 4 + 24 + 16 + 128,
           std::to_string(fused.attended()) + " slots are left");
    expect(fused.position() > 240, std::to_string(fused.position()) + " positions");
    Context all = filled(kStory);
    const auto whole = must(co_await all.generate(Sampler::greedy(), Stop::max_len(205)));
    expect(whole.substr(0, 200) != greedy.substr(0, 200), "no window");
    expect(!fused.export_as("window").has_value(), "a window was exported");
  }
}

const std::map<std::string, Task<void> (*)()> kScenarios = {
    {"lengths", greedy_and_seeded_texts_of_any_length},
    {"ends", ends_are_those_of_the_program},
    {"forks", forks_and_masks},
    {"chat", conversations},
    {"dropped", a_dropped_answer_leaves_the_context_usable},
    {"repeats", what_comes_again_takes_fewer_steps},
    {"grammar", what_a_grammar_lets_come},
    {"adaptive", penalties_and_mirostat_run_in_the_engine},
    {"positions", positions_are_the_program_s},
    {"log-probabilities", log_probabilities_are_those_of_a_pass},
    {"window", windows},
};

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  const auto scenario = kScenarios.find(arguments.empty() ? "" : arguments.front());
  if (scenario == kScenarios.end())
    co_return inferlet::fail("[scenario] there is none of that name");
  co_await scenario->second();
  if (!failure.empty()) co_return inferlet::fail(scenario->first + ": " + failure);
  co_return scenario->first + ": passed";
}
