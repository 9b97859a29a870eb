// What pie:logits promises, shown on the server's model. The first argument names a scenario; it
// returns "NAME: passed" (some: a text), or fails with what was different.
#include <pie/inferlet.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "scenario.h"

namespace {

using inferlet::Context;
using inferlet::ForwardPass;
using inferlet::Sampler;
using inferlet::Sampling;
using inferlet::ScoredTokens;
using inferlet::TokenSet;
namespace logits = inferlet::logits;
using Arguments = std::vector<std::string>;

constexpr std::string_view kStory =
    "Once upon a time a small robot lived in a lighthouse by the sea. Every evening it";

void expect_near(double got, double expected, double tolerance, const std::string& what) {
  expect(std::abs(got - expected) <= tolerance,
         what + ": " + std::to_string(got) + ", expected " + std::to_string(expected));
}

Context filled(std::string_view text) {
  Context context = must(Context::create());
  must(context.fill(text));
  return context;
}

std::vector<uint32_t> generated(Context& context, const Sampler& sampler, int count) {
  std::vector<uint32_t> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(must(context.decode_step(sampler).wait()));
  return tokens;
}

/// A pass over a text without pages, and the queue that it needs.
struct TextPass {
  explicit TextPass(std::string_view text)
      : model(must(inferlet::default_model())), queue(model.create_queue()), pass(queue) {
    tokens = model.tokenizer().tokenize(text);
    for (uint32_t i = 0; i < tokens.size(); ++i) positions.push_back(i);
    pass.input_tokens(tokens, positions);
  }
  uint32_t last() const { return static_cast<uint32_t>(tokens.size()) - 1; }
  inferlet::PassResult run() {
    auto result = must(logits::execute(pass));
    expect(result.has_value(), "a pass that asks for something has a result");
    result->wait();
    return std::move(*result);
  }
  inferlet::Model model;
  inferlet::Queue queue;
  ForwardPass pass;
  std::vector<uint32_t> tokens, positions;
};

void forbidden_tokens_never_come() {
  Context start = filled(kStory);
  Context plain = start.fork();
  const std::vector<uint32_t> usual = generated(plain, Sampler::greedy(), 12);
  const auto set = std::make_shared<TokenSet>(TokenSet::of(usual));
  for (const float temperature : {0.0F, 1.0F, 5.0F}) {
    Context context = start.fork();
    for (const uint32_t token :
         generated(context, Sampler::multinomial(temperature).with_forbidden(set), 30))
      expect(std::ranges::find(usual, token) == usual.end(), "a forbidden token came");
  }
  const std::vector<uint32_t> few = {100, 101, 30000};
  const Sampler allowed =
      Sampler::multinomial(50.0F).with_allowed(std::make_shared<TokenSet>(TokenSet::of(few)));
  Context context = start.fork();
  std::set<uint32_t> seen;
  for (const uint32_t token : generated(context, allowed, 40)) seen.insert(token);
  expect(seen == std::set<uint32_t>(few.begin(), few.end()), "exactly the allowed tokens come");
}

void sets_and_lists_of_tokens_join() {
  TextPass text(kStory);
  const std::vector<uint32_t> at = {text.last(), 0};
  must(logits::allow(text.pass, at, std::vector<uint32_t>{5, 6, 7, 8}));
  must(logits::forbid(text.pass, at, TokenSet::of(std::vector<uint32_t>{6, 9})));
  must(logits::allow(text.pass, std::span(at).first(1),
                     TokenSet::of(std::vector<uint32_t>{6, 7, 8})));
  must(logits::forbid(text.pass, std::span(at).first(1), std::vector<uint32_t>{8}));
  must(logits::output_tokens(text.pass, at, {.temperature = 50.0F}));
  inferlet::abi::output_distributions(text.pass.handle(), at.data(), at.size(), 1.0F, 1, 3);
  const auto refused = logits::forbid(text.pass, std::span(at).first(1), std::vector<uint32_t>{7});
  expect(!refused, "what leaves no token is refused, and changes nothing");
  const inferlet::PassResult result = text.run();
  const auto tokens = *result.tokens();
  expect(tokens[0] == 7, "the only one that is left");
  expect(tokens[1] == 5 || tokens[1] == 7 || tokens[1] == 8, "of another index");
  const auto distributions = *result.distributions();
  expect_near(static_cast<double>(distributions[0].probabilities[0]), 1.0, 1e-6, "its share");
  expect(distributions[0].ids[0] == 7, "it is ranked first");
}

void a_bias_forces_a_token() {
  Context context = filled(kStory);
  const Sampler sampler = Sampler::multinomial(1.0F).with_bias({{1234, 100.0F}});
  for (const uint32_t token : generated(context, sampler, 5))
    expect(token == 1234, "a bias of 100 forces its token");
  TextPass text(kStory);
  const std::vector<uint32_t> at = {text.last()};
  must(logits::bias(text.pass, at, TokenSet::of(std::vector<uint32_t>{17, 18}), 60.0F));
  must(
      logits::bias(text.pass, at, std::vector<uint32_t>{18, 18}, std::vector<float>{30.0F, 30.0F}));
  must(logits::output_tokens(text.pass, at, {.temperature = 1.0F}));
  expect(text.run().tokens()->front() == 18, "biases add up");
}

void penalised_tokens_do_not_come_again() {
  Context context = filled("The words are: one, one, one, one, one, one,");
  Context plain = context.fork();
  const std::vector<uint32_t> usual = generated(plain, Sampler::greedy(), 8);
  expect(std::set<uint32_t>(usual.begin(), usual.end()).size() < 8, "it repeats itself");
  const std::vector<uint32_t> others =
      generated(context, Sampler::greedy().with_penalties({.presence = 1000.0F}), 30);
  const std::vector<uint32_t> all = context.tokens();
  expect(std::set<uint32_t>(others.begin(), others.end()).size() == 30, "no token comes twice");
  const auto prompt = std::span(all).first(all.size() - 30);
  for (const uint32_t token : others)
    expect(std::ranges::find(prompt, token) == prompt.end(), "nor one of the prompt");
}

double log_sum(std::span<const float> row) {
  const float best = *std::ranges::max_element(row);
  double sum = 0;
  for (const float logit : row) sum += std::exp(static_cast<double>(logit - best));
  return static_cast<double>(best) + std::log(sum);
}

void what_is_told_of_a_row_agrees() {
  TextPass text(kStory);
  const uint32_t last = text.last();
  const std::vector<uint32_t> at = {last, 3};
  inferlet::abi::output_distributions(text.pass.handle(), &last, 1, 1.0F, 1, 50);
  must(logits::output_logits(text.pass, at, 0));
  must(logits::output_logits(text.pass, at, 5));
  must(logits::output_entropies(text.pass, at));
  must(logits::output_tokens(text.pass, at, {.temperature = 1.0F, .details = true}));
  must(logits::bias(text.pass, at, std::vector<uint32_t>{5}, std::vector<float>{1.0F}));
  std::vector<uint32_t> every(text.model.info().vocab_size);
  for (uint32_t i = 0; i < every.size(); ++i) every[i] = i;
  must(logits::output_log_probabilities(text.pass, last, every));
  const inferlet::PassResult result = text.run();
  const auto rows = *logits::rows(result);
  const auto scores = *logits::log_probabilities(result);
  const auto entropies = *logits::entropies(result);
  const auto details = *logits::token_details(result);
  const auto tokens = *result.tokens();
  expect(rows.size() == 4 && scores.size() == 1 && entropies.size() == 2, "as asked for");
  expect(rows[0].ids.empty() && rows[0].values.size() == every.size(), "a whole row has no ids");
  expect(scores[0].ids == every, "the tokens come with their scores");
  for (size_t i = 0; i < 2; ++i) {
    const double total = log_sum(rows[i].values);
    double entropy = 0;
    for (const float logit : rows[i].values) {
      const double log_p = static_cast<double>(logit) - total;
      entropy -= std::exp(log_p) * log_p;
    }
    expect_near(static_cast<double>(entropies[i]), entropy, 1e-3, "entropy");
    const ScoredTokens& best = rows[2 + i];
    expect(best.ids.size() == 5 && std::ranges::is_sorted(best.values, std::greater()), "the best");
    for (size_t k = 0; k < 5; ++k)
      expect(rows[i].values[best.ids[k]] == best.values[k], "the same logits");
    expect_near(static_cast<double>(details[i].log_probability),
                static_cast<double>(rows[i].values[tokens[i]]) - total, 1e-3, "of the drawn token");
    expect(details[i].surprise >= 0, "no surprise is below 0");
  }
  for (const uint32_t token : every) {
    expect_near(static_cast<double>(scores[0].values[token]),
                static_cast<double>(rows[0].values[token]) - log_sum(rows[0].values), 1e-3,
                "score");
    if (!failure.empty() || token > 200) break;
  }
  const auto ranking = result.distributions()->front();
  for (size_t i = 0; i < ranking.ids.size(); ++i) {
    if (ranking.ids[i] == 5) continue;  // the one with a bias
    const double log_p = static_cast<double>(scores[0].values[ranking.ids[i]]);
    expect_near(static_cast<double>(ranking.probabilities[i]), std::exp(log_p), 2e-3,
                "probability of rank " + std::to_string(i));
  }
  expect(logits::rows(result)->empty(), "each get takes");
}

void mistakes_are_errors() {
  const auto wrong =
      [](const std::string& says,
         const std::function<inferlet::Result<void>(TextPass&, const std::vector<uint32_t>&)>&
             call) {
        TextPass text(kStory);
        const std::vector<uint32_t> at = {0};
        const auto result = call(text, at);
        const std::string said = result ? "nothing" : result.error();
        expect(said.find(says) != std::string::npos, "said " + said + ", expected " + says);
      };
  using At = const std::vector<uint32_t>&;
  const std::vector<uint32_t> beyond = {1U << 30};
  wrong("[tokens] got token id",
        [&](TextPass& t, At at) { return logits::allow(t.pass, at, beyond); });
  wrong("[tokens] got token id",
        [&](TextPass& t, At at) { return logits::penalize(t.pass, at, beyond, {}); });
  wrong("[tokens] got token id",
        [&](TextPass& t, At) { return logits::output_log_probabilities(t.pass, 0, beyond); });
  wrong("no token at an index",
        [](TextPass& t, At at) { return logits::allow(t.pass, at, std::span<const uint32_t>()); });
  wrong("[values] got 0 for 1 tokens",
        [](TextPass& t, At at) { return logits::bias(t.pass, at, at, std::span<const float>()); });
  wrong("[values] got biases",
        [](TextPass& t, At at) { return logits::bias(t.pass, at, at, std::vector<float>{NAN}); });
  wrong("[repetition] got 0",
        [](TextPass& t, At at) { return logits::penalize(t.pass, at, at, {.repetition = 0}); });
  wrong("[penalty] got", [](TextPass& t, At at) {
    return logits::penalize(t.pass, at, at, {.presence = INFINITY});
  });
  wrong("[temperature] got",
        [](TextPass& t, At at) { return logits::output_tokens(t.pass, at, {.temperature = -1}); });
  wrong("[typical-p] got 2",
        [](TextPass& t, At at) { return logits::output_tokens(t.pass, at, {.typical_p = 2}); });
  const auto executed = [](TextPass& t) -> inferlet::Result<void> {
    auto result = logits::execute(t.pass);
    if (!result) return inferlet::fail(result.error());
    return {};
  };
  wrong("[execute] got output index", [&](TextPass& t, At) {
    must(logits::output_entropies(t.pass, beyond));
    return executed(t);
  });
  wrong("[execute] got no inputs", [&](TextPass& t, At) {
    must(logits::execute(t.pass));
    return executed(t);
  });
  wrong("log-probabilities together", [&](TextPass& t, At at) {
    const std::vector<uint32_t> many(300, at[0]);
    must(logits::output_logits(t.pass, many, 0));
    return executed(t);
  });
}

void a_sampler_over_raw_logits_chooses() {
  Context start = filled(kStory);
  Context greedy = start.fork();
  Context own = start.fork();
  const Sampler best = Sampler::over_logits([](std::span<const float> row) {
    return static_cast<uint32_t>(std::ranges::max_element(row) - row.begin());
  });
  expect(generated(own, best, 10) == generated(greedy, Sampler::greedy(), 10), "the same text");
}

/// The mean surprise in bits of the last `count` tokens, as the model sees the text.
double mean_surprise(const Context& context, size_t count) {
  TextPass text("");
  const std::vector<uint32_t> tokens = context.tokens();
  for (uint32_t i = 0; i < tokens.size(); ++i) text.positions.push_back(i);
  text.pass.input_tokens(tokens, text.positions);
  for (size_t i = tokens.size() - count; i < tokens.size(); ++i)
    must(logits::output_log_probabilities(text.pass, static_cast<uint32_t>(i) - 1,
                                          std::span(tokens).subspan(i, 1)));
  const inferlet::PassResult result = text.run();
  double sum = 0;
  for (const ScoredTokens& one : *logits::log_probabilities(result))
    sum -= static_cast<double>(one.values.front()) / std::log(2.0);
  return sum / static_cast<double>(count);
}

void mirostat_keeps_the_surprise() {
  for (const float target : {1.0F, 2.5F}) {
    Context context = filled(kStory);
    generated(context, Sampler::mirostat(1.0F, target).with_seed(3), 150);
    const double mean = mean_surprise(context, 150);
    inferlet::print("target " + std::to_string(target) + ": " + std::to_string(mean) + "\n");
    // What is cut off would have had some of the probability.
    expect_near(mean, static_cast<double>(target), 1.0, "bits a token");
  }
}

/// A text that is drawn with the seed of the second argument.
std::string seeded(const Arguments& arguments) {
  const uint64_t seed = std::strtoull(arguments.at(1).c_str(), nullptr, 10);
  Context context = filled(kStory);
  const Sampler sampler = Sampler::of({.temperature = 1.0F, .top_p = 0.95F, .typical_p = 0.95F})
                              .with_xtc(0.3F, 0.1F)
                              .with_penalties({.repetition = 1.1F}, 64)
                              .with_seed(seed);
  return context.tokenizer().detokenize(generated(context, sampler, 40));
}

const std::map<std::string, std::function<void()>> kScenarios = {
    {"forbidden", forbidden_tokens_never_come},
    {"sets", sets_and_lists_of_tokens_join},
    {"bias", a_bias_forces_a_token},
    {"penalties", penalised_tokens_do_not_come_again},
    {"rows", what_is_told_of_a_row_agrees},
    {"mistakes", mistakes_are_errors},
    {"raw", a_sampler_over_raw_logits_chooses},
    {"mirostat", mirostat_keeps_the_surprise},
};

}  // namespace

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  if (arguments.size() == 2 && arguments[0] == "seeded") return seeded(arguments);
  const auto scenario = kScenarios.find(arguments.empty() ? "" : arguments.front());
  if (scenario == kScenarios.end()) return inferlet::fail("[scenario] there is none of that name");
  scenario->second();
  if (!failure.empty()) return inferlet::fail(scenario->first + ": " + failure);
  return scenario->first + ": passed";
}
