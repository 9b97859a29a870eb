// What pie:decode promises, shown on the server's model. The first argument names a scenario; it
// returns "NAME: passed", or fails with what was different. With `text` it generates: its other
// arguments are a prompt, tokens, tokens of a draft, a temperature and a seed; it returns the
// tokens.
#include <pie/generation.h>
#include <pie/inferlet.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <set>

#include "scenario.h"

namespace {

using inferlet::Generation;
using inferlet::GenerationEnd;
using inferlet::GenerationRequest;
using Reason = inferlet::GenerationEnd::Reason;
using Tokens = std::vector<uint32_t>;

constexpr std::string_view kPrompt =
    "Once upon a time a small robot lived in a lighthouse by the sea. Every evening it lit the "
    "lamp";

std::string shown(std::span<const uint32_t> tokens) {
  std::string text;
  for (const uint32_t token : tokens) text += std::to_string(token) + " ";
  return text;
}

/// A text of the default model whose pages are its own.
struct Text {
  explicit Text(std::string_view prompt, uint32_t page_count = 40)
      : model(must(inferlet::default_model())),
        pool(std::make_shared<inferlet::KvPages>(model.create_queue(), model.kv_page_size())),
        pages(pool->take(page_count)),
        tokens(model.tokenizer().tokenize(prompt)) {}

  GenerationRequest request(uint32_t tokens_max) const {
    GenerationRequest one;
    for (const auto& page : pages) one.pages.push_back(page->number());
    one.pending = tokens;
    one.tokens_max = tokens_max;
    one.drafting = inferlet::Drafting::none();
    return one;
  }
  Generation start(const GenerationRequest& one) {
    return must(Generation::start(pool->queue(), one));
  }

  inferlet::Model model;
  std::shared_ptr<inferlet::KvPages> pool;
  std::vector<std::shared_ptr<const inferlet::KvPage>> pages;
  Tokens tokens;
};

struct Outcome {
  Tokens tokens;
  std::string text;
  std::vector<float> log_probabilities;
  std::vector<inferlet::Distribution> ranked;
  GenerationEnd end;
};

Outcome finish(Generation& generation) {
  Outcome outcome;
  while (auto piece = generation.next()) {
    outcome.tokens.insert(outcome.tokens.end(), piece->tokens.begin(), piece->tokens.end());
    outcome.text += piece->text;
    for (const float one : piece->log_probabilities) outcome.log_probabilities.push_back(one);
    for (auto& one : piece->ranked) outcome.ranked.push_back(std::move(one));
  }
  outcome.end = *generation.end();
  return outcome;
}

Outcome run(Text& text, const GenerationRequest& request) {
  Generation generation = text.start(request);
  return finish(generation);
}

/// A generation says what the same steps by passes of one's own say.
void steps() {
  Text text(kPrompt);
  const Outcome outcome = run(text, text.request(40));
  auto context = must(inferlet::Context::create());
  must(context.fill_tokens(text.tokens));
  Tokens expected;
  while (expected.size() < 40)
    expected.push_back(must(context.decode_step(inferlet::Sampler::greedy()).wait()));
  expect(outcome.tokens == expected,
         "got " + shown(outcome.tokens) + "expected " + shown(expected));
  expect(outcome.text == text.model.tokenizer().detokenize(expected),
         "got the text " + outcome.text);
  expect(outcome.end.passes == 40, "a pass a token");
  expect(outcome.end.context_length == text.tokens.size() + 39,
         "all but the last are in the pages");
}

/// The context goes on after it as after any pass.
void goes_on() {
  Text text(kPrompt);
  const Tokens whole = run(text, text.request(30)).tokens;
  Text other(kPrompt);
  const Outcome first = run(other, other.request(12));
  GenerationRequest rest = other.request(18);
  rest.context_length = rest.position = first.end.context_length;
  rest.pending = {first.tokens.back()};
  const Outcome second = run(other, rest);
  Tokens both = first.tokens;
  both.insert(both.end(), second.tokens.begin(), second.tokens.end());
  expect(both == whole, "got " + shown(both) + "expected " + shown(whole));
}

void stops() {
  Text text(kPrompt);
  const Outcome plain = run(text, text.request(40));
  GenerationRequest by_token = text.request(40);
  by_token.stop_tokens = {plain.tokens[9]};
  const auto first =
      std::find(plain.tokens.begin(), plain.tokens.end(), plain.tokens[9]) - plain.tokens.begin();
  const Outcome token = run(text, by_token);
  expect(token.end.reason == Reason::kStopToken, "expected a stop token");
  expect(token.tokens.size() == static_cast<size_t>(first) + 1, "it counts");
  GenerationRequest by_text = text.request(40);
  const std::string stop = plain.text.substr(plain.text.size() / 2, 6);
  by_text.stop_texts = {"never in a text", stop};
  const Outcome cut = run(text, by_text);
  expect(cut.end.reason == Reason::kStopText && cut.end.message == stop, "expected the stop text");
  expect(cut.text == plain.text.substr(0, plain.text.find(stop)), "got " + cut.text);
  Text small(kPrompt, 2);
  const Outcome full = run(small, small.request(100));
  expect(full.end.reason == Reason::kRoom, "expected full pages");
  expect(full.end.context_length == 2 * small.model.kv_page_size(), "they are full");
}

void cancels() {
  Text text(kPrompt, 100);
  Generation generation = text.start(text.request(1'000));
  generation.pollable().block();
  generation.cancel();
  const Outcome outcome = finish(generation);
  expect(outcome.end.reason == Reason::kCancelled, "expected a cancelled one");
  expect(outcome.tokens.size() == outcome.end.tokens, "all that came can be read");
  GenerationRequest rest = text.request(5);
  rest.context_length = rest.position = outcome.end.context_length;
  rest.pending = {outcome.tokens.back()};
  expect(run(text, rest).tokens.size() == 5, "the context goes on");
  {
    const Generation dropped = text.start(text.request(1'000));
  }
  expect(run(text, text.request(5)).tokens.size() == 5, "a dropped one ends");
}

void suggestions() {
  Text text(kPrompt);
  const Tokens expected = run(text, text.request(24)).tokens;
  Generation generation = text.start(text.request(24));
  must(generation.suggest(0, expected));
  const Outcome outcome = finish(generation);
  expect(outcome.tokens == expected, "a suggestion changes nothing");
  expect(outcome.end.passes < 24 && outcome.end.accepted > 0, "and saves passes");
  expect(!generation.suggest(0, Tokens(65, 1)), "more than 64 are refused");
}

void penalties() {
  Text text(kPrompt);
  GenerationRequest request = text.request(60);
  request.sampling.penalties = {.repetition = 1, .window = 0, .presence = 1000, .frequency = 0};
  const Outcome outcome = run(text, request);
  const std::set<uint32_t> different(outcome.tokens.begin(), outcome.tokens.end());
  expect(different.size() == outcome.tokens.size(), "no token comes twice");
  const Tokens plain = run(text, text.request(1)).tokens;
  request = text.request(1);
  request.sampling.bias = {{plain[0], -1000.0F}, {1234, 500.0F}};
  expect(run(text, request).tokens == Tokens{1234}, "a bias decides");
  request = text.request(40);
  request.sampling.dry = {
      .multiplier = 1000, .base = 2, .allowed_length = 1, .window = 400, .breakers = {}};
  const Tokens dry = run(text, request).tokens;
  std::set<std::pair<uint32_t, uint32_t>> pairs;
  Tokens all = text.tokens;
  all.insert(all.end(), dry.begin(), dry.end());
  for (size_t i = text.tokens.size(); i < all.size(); ++i)
    for (size_t j = 1; j < i; ++j)
      expect(all[j] != all[i] || all[j - 1] != all[i - 1], "no pair of tokens comes twice");
  request = text.request(20);
  request.sampling.temperature = 1;
  request.sampling.seed = 3;
  request.sampling.mirostat = {.target = 3, .rate = 0.1F};
  expect(run(text, request).tokens.size() == 20, "mirostat runs");
}

void details() {
  Text text(kPrompt);
  GenerationRequest request = text.request(10);
  request.log_probabilities = true;
  request.ranked = 3;
  const Outcome outcome = run(text, request);
  expect(outcome.log_probabilities.size() == 10 && outcome.ranked.size() == 10,
         "one for each token");
  for (size_t i = 0; i < outcome.tokens.size() && failure.empty(); ++i) {
    const auto& ranked = outcome.ranked[i];
    expect(ranked.ids.size() == 3 && ranked.ids[0] == outcome.tokens[i], "greedy takes the best");
    const double error = std::log(ranked.probabilities[0]) - outcome.log_probabilities[i];
    expect(std::abs(error) < 1e-3, "log-probabilities and probabilities agree");
  }
}

void parallel() {
  std::vector<std::unique_ptr<Text>> texts;
  std::vector<Tokens> alone;
  for (int i = 0; i < 8; ++i) {
    texts.push_back(std::make_unique<Text>(std::string(kPrompt) + " number " + std::to_string(i)));
    alone.push_back(run(*texts.back(), texts.back()->request(24)).tokens);
  }
  std::vector<Generation> generations;
  for (auto& text : texts) generations.push_back(text->start(text->request(24)));
  for (size_t i = 0; i < generations.size(); ++i)
    expect(finish(generations[i]).tokens == alone[i], "number " + std::to_string(i) + " differs");
}

void window() {
  Text text(kPrompt);
  const uint32_t length = 12, sink = 2;
  GenerationRequest request = text.request(20);
  request.window = {sink, length};
  const Tokens got = run(text, request).tokens;
  // The same by passes with masks of one's own.
  Text other(kPrompt);
  Tokens expected, pending = other.tokens;
  uint32_t computed = 0;
  std::vector<uint32_t> numbers;
  for (const auto& page : other.pages) numbers.push_back(page->number());
  while (expected.size() < 20) {
    inferlet::ForwardPass pass(other.pool->queue());
    std::vector<uint32_t> positions;
    std::vector<std::vector<uint32_t>> rows;
    for (uint32_t i = 0; i < pending.size(); ++i) {
      positions.push_back(computed + i);
      const uint32_t slots = computed + i + 1;
      rows.push_back(slots <= sink + length
                         ? std::vector<uint32_t>{slots}
                         : std::vector<uint32_t>{sink, slots - sink - length, length});
    }
    computed += static_cast<uint32_t>(pending.size());
    const uint32_t page_size = other.pool->page_size();
    pass.kv_cache(std::span(numbers).first((computed + page_size - 1) / page_size),
                  (computed - 1) % page_size + 1);
    pass.input_tokens(pending, positions);
    pass.attention_mask(rows);
    inferlet::Sampler::greedy().request(pass, static_cast<uint32_t>(pending.size() - 1));
    auto result = pass.execute();
    result->wait();
    pending = {result->tokens()->front()};
    expected.push_back(pending[0]);
  }
  expect(got == expected, "got " + shown(got) + "expected " + shown(expected));
}

/// Under a schema: as step by step with `constrain`, complete at its end, with drafts and without.
void constrained() {
  constexpr std::string_view kSchema =
      R"({"type": "object", "properties": {"name": {"type": "string", "maxLength": 20},
          "age": {"type": "integer", "minimum": 0, "maximum": 120}, "is_robot": {"type": "boolean"}},
          "required": ["name", "age", "is_robot"], "additionalProperties": false})";
  Text text("A robot, as JSON: ");
  const auto grammar = must(inferlet::Grammar::json_schema(text.model, kSchema));
  std::vector<Tokens> seen;
  for (const uint32_t draft : {0U, 16U}) {
    for (const float temperature : {0.0F, 1.0F}) {
      GenerationRequest request = text.request(120);
      request.drafting.tokens_max = draft;
      request.sampling.temperature = temperature;
      request.sampling.seed = 5;
      const inferlet::Matcher matcher(grammar);
      auto generation = must(Generation::start(text.pool->queue(), request, matcher));
      const Outcome outcome = finish(generation);
      expect(outcome.end.reason == Reason::kComplete,
             "expected the end of the object: " + outcome.text);
      expect(outcome.text.starts_with("{") && outcome.text.ends_with("}"), "got " + outcome.text);
      expect(outcome.text.find("is_robot") != std::string::npos, "got " + outcome.text);
      if (draft > 0) expect(outcome.end.accepted > 0, "what has no alternative is drafted");
      seen.push_back(outcome.tokens);
    }
  }
  expect(seen[0] == seen[2] && seen[1] == seen[3], "drafts change nothing");
  inferlet::Matcher matcher(grammar);
  Tokens expected;
  {
    Text other("A robot, as JSON: ");
    Tokens pending = other.tokens;
    uint32_t computed = 0;
    std::vector<uint32_t> numbers;
    for (const auto& page : other.pages) numbers.push_back(page->number());
    while (!matcher.is_complete() && expected.size() < 120) {
      inferlet::ForwardPass pass(other.pool->queue());
      std::vector<uint32_t> positions;
      for (uint32_t i = 0; i < pending.size(); ++i) positions.push_back(computed + i);
      computed += static_cast<uint32_t>(pending.size());
      const uint32_t page_size = other.pool->page_size();
      pass.kv_cache(std::span(numbers).first((computed + page_size - 1) / page_size),
                    (computed - 1) % page_size + 1);
      pass.input_tokens(pending, positions);
      const auto last = static_cast<uint32_t>(pending.size() - 1);
      must(matcher.constrain(pass, last));
      must(inferlet::Sampler::greedy().request(pass, last));
      auto result = pass.execute();
      result->wait();
      pending = {result->tokens()->front()};
      expected.push_back(pending[0]);
      must(matcher.accept(pending[0]));
    }
  }
  expect(seen[0] == expected, "got " + shown(seen[0]) + "expected " + shown(expected));
}

void mistakes() {
  Text text(kPrompt, 3);
  const auto refused = [&](const std::string& expected, auto&& change) {
    GenerationRequest request = text.request(10);
    change(request);
    const auto started = Generation::start(text.pool->queue(), request);
    expect(!started, "expected a refusal: " + expected);
    if (!started)
      expect(started.error().find(expected) != std::string::npos, "got " + started.error());
  };
  refused("no pending tokens", [](auto& one) { one.pending.clear(); });
  refused("expected <", [](auto& one) { one.pending = {4'000'000'000}; });
  refused("top-p", [](auto& one) { one.sampling.top_p = 2; });
  refused("at most 0 tokens", [](auto& one) { one.tokens_max = 0; });
  refused("expected room", [](auto& one) { one.context_length = 1'000; });
  refused("KV page", [](auto& one) { one.pages = {1'000'000, 1'000'001, 1'000'002}; });
  refused("twice", [](auto& one) { one.pages[1] = one.pages[0]; });
  expect(run(text, text.request(3)).tokens.size() == 3, "nothing was harmed");
}

std::string generated(const std::vector<std::string>& arguments) {
  Text text(arguments.at(1), 60);
  GenerationRequest request =
      text.request(static_cast<uint32_t>(std::atoi(arguments.at(2).c_str())));
  request.context = {};
  request.drafting.tokens_max = static_cast<uint32_t>(std::atoi(arguments.at(3).c_str()));
  request.drafting.match_min = 2;
  request.sampling.temperature = static_cast<float>(std::atof(arguments.at(4).c_str()));
  request.sampling.seed = static_cast<uint64_t>(std::atoi(arguments.at(5).c_str()));
  request.sampling.penalties = {.repetition = 1.05F, .window = 64, .presence = 0, .frequency = 0};
  const Outcome outcome = run(text, request);
  return shown(outcome.tokens) + "in " + std::to_string(outcome.end.passes) + " passes";
}

const std::map<std::string, std::function<void()>> kScenarios = {{"steps", steps},
                                                                 {"goes_on", goes_on},
                                                                 {"stops", stops},
                                                                 {"cancels", cancels},
                                                                 {"suggestions", suggestions},
                                                                 {"penalties", penalties},
                                                                 {"details", details},
                                                                 {"parallel", parallel},
                                                                 {"window", window},
                                                                 {"constrained", constrained},
                                                                 {"mistakes", mistakes}};

}  // namespace

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return inferlet::fail("[arguments] got none, expected a scenario");
  if (arguments[0] == "text") return generated(arguments);
  const auto scenario = kScenarios.find(arguments[0]);
  if (scenario == kScenarios.end()) return inferlet::fail("[scenario] got " + arguments[0]);
  scenario->second();
  if (!failure.empty()) return inferlet::fail(arguments[0] + ": " + failure);
  return arguments[0] + ": passed";
}
