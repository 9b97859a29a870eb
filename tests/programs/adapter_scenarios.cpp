// What inferlet:adapter and inferlet:zo promise, shown on the server's model. The first argument
// names a scenario; it returns "NAME: passed", or fails with what was different. "wrong NAME" makes
// a mistake, which ends it.
#include <pie/generation.h>
#include <pie/inferlet.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>

#include "scenario.h"

namespace {

using inferlet::Adapter;
using inferlet::Context;
using inferlet::Sampler;
using Arguments = std::vector<std::string>;

/// Some whole pages.
constexpr std::string_view kStory =
    "Once upon a time a small robot lived in a lighthouse by the sea. Every evening it lit the "
    "lamp and told the ships about the rocks, and the ships told it about the towns on the other "
    "side "
    "of the water, where other robots lived in other lighthouses.";
/// The same output under another adapter would be far from it.
constexpr inferlet::EvolutionOptions kStrong = {.rank = 2, .alpha = 4, .initial_sigma = 0.5F};

inferlet::Model model() { return must(inferlet::default_model()); }

std::shared_ptr<Adapter> evolving() {
  auto adapter = std::make_shared<Adapter>(model());
  adapter->initialize(kStrong);
  return adapter;
}

/// What comes after the story.
std::vector<float> next(const std::shared_ptr<const Adapter>& adapter,
                        std::optional<int64_t> seed = {}) {
  Context context = must(Context::create());
  context.set_adapter(adapter, seed);
  must(context.fill(kStory));
  return must(context.next_distribution(1, 16)).probabilities;
}

void cache() {
  const auto adapter = evolving();
  const auto plain = next(nullptr);
  const auto candidate = next(adapter, 7);
  expect(candidate != plain, "a candidate changes what comes next");
  expect(next(adapter, -7) != candidate, "so does its mirror image, otherwise");
  expect(next(nullptr) == plain, "its pages are not found without it");
  expect(next(adapter, 7) == candidate, "nor pages without it under it");
  expect(next(adapter) == plain, "the first mean adds nothing");
}

void fork() {
  const auto adapter = evolving();
  const auto expected = next(adapter, 3);
  Context context = must(Context::create());
  context.set_adapter(adapter, 3);
  must(context.fill(kStory));
  Context forked = context.fork();
  expect(must(forked.next_distribution(1, 16)).probabilities == expected, "a fork has the adapter");
  const auto text = [&](Context& one) {
    const auto stop = inferlet::Stop::max_len(12);
    return must(one.generate(Sampler::greedy(), stop));
  };
  Context plain = must(Context::create());
  must(plain.fill(kStory));
  expect(text(context) != text(plain), "generate is under the adapter, too");
  forked.set_adapter(nullptr);
  must(forked.fill(" And"));
  Context again = must(Context::create());
  again.set_adapter(adapter, 3);
  must(again.fill(kStory));
  must(again.fill(" And"));
  expect(must(forked.next_distribution(1, 16)).probabilities !=
             must(again.next_distribution(1, 16)).probabilities,
         "without it the context goes on without it");
}

/// `generate` hands the answer to the engine's own loop.
void generate() {
  const auto adapter = evolving();
  const auto context = [&](std::optional<int64_t> seed) {
    Context one = must(Context::create());
    one.set_adapter(adapter, seed);
    must(one.fill(kStory));
    return one;
  };
  Context plain = context({}), candidate = context(3), steps = context(3), drawn = context(3);
  const auto stop = inferlet::Stop::max_len(40);
  const std::string text = must(candidate.generate(Sampler::greedy(), stop));
  expect(text != must(plain.generate(Sampler::greedy(), stop)), "a candidate says something else");
  std::vector<uint32_t> tokens;
  while (tokens.size() < 40) tokens.push_back(must(steps.decode_step(Sampler::greedy())));
  expect(text == steps.tokenizer().detokenize(tokens), "the same as step by step");
  expect(candidate.tokens() == steps.tokens(), "so are the tokens of the context");
  const auto grammar = must(inferlet::Grammar::regex(drawn.model(), "[a-z ]{12}\\."));
  inferlet::Matcher matcher(grammar);
  const auto held = must(drawn.generate(Sampler::greedy(), stop, {.matcher = &matcher}));
  expect(held.text.size() == 13 && matcher.is_complete(), "under a grammar, too: " + held.text);
}

/// The adapter as a file that knows of no evolution.
inferlet::Blob without_evolution(const Adapter& adapter) {
  const inferlet::Blob file = adapter.download("fixed").wait();
  std::vector<uint8_t> bytes = file.read(0, file.size());
  constexpr std::string_view kKey = "pie.evolution.population_size";
  const auto at = std::ranges::search(bytes, kKey);
  expect(!at.empty(), "a file has the evolution");
  if (!at.empty()) at.front() = 'x';
  return inferlet::Blob(bytes);
}

void refusals() {
  const auto pages = std::make_shared<inferlet::KvPages>(model().create_queue(), 16);
  const auto page = pages->take(1);
  const auto refused = [&](std::shared_ptr<const Adapter> adapter, std::optional<int64_t> seed) {
    inferlet::GenerationRequest request;
    request.pages = {page[0]->number()};
    request.pending = {1};
    request.tokens_max = 1;
    request.adapter = std::move(adapter);
    request.adapter_seed = seed;
    const auto started = inferlet::Generation::start(pages->queue(), request);
    return started ? std::string() : started.error();
  };
  const auto empty = std::make_shared<Adapter>(model());
  expect(refused(empty, {}).starts_with("[generate] got adapter pointer 0, where nothing was put"),
         "an empty pointer: " + refused(empty, {}));
  const auto fixed = std::make_shared<Adapter>(model());
  fixed->upload(without_evolution(*evolving()), "fixed");
  expect(refused(fixed, {}).empty(), "an adapter that does not evolve is served");
  expect(refused(fixed, 1).starts_with("[generate] got an adapter that does not evolve"),
         "but has no candidates: " + refused(fixed, 1));
}

void values() {
  const auto adapter = evolving();
  const std::vector<int64_t> seeds = {1, 2, 3};
  const std::vector<float> scores = {1, 3, 2};
  must(adapter->export_as("values"));
  adapter->update(scores, seeds, 1);
  const auto updated = next(adapter);
  expect(updated != next(nullptr), "an update moves the mean");
  const auto imported = std::make_shared<Adapter>(must(Adapter::import(model(), "values")));
  expect(next(imported) == next(nullptr), "what was exported stays as it was");
  imported->update(scores, seeds, 1);
  expect(next(imported) == updated, "the same update of the same adapter");
  must(Adapter::release_export(model(), "values"));
  expect(!Adapter::import(model(), "values"), "a name that was released is gone");
  const auto copy = std::make_shared<Adapter>(model());
  copy->upload(adapter->download("copy").wait(), "copy");
  expect(next(copy) == updated, "a file gives the same adapter");
  expect(next(copy, 9) == next(adapter, 9), "and the same candidates");
}

void wrong(const std::string& what) {
  const auto queue = model().create_queue();
  inferlet::ForwardPass pass(queue);
  Adapter adapter(model());
  const std::vector<int64_t> seeds = {1, 2};
  const std::vector<float> score = {1};
  const std::vector<uint32_t> token = {1}, position = {0};
  if (what == "unmapped") inferlet::abi::set_adapter(pass.handle(), 7);
  if (what == "empty") adapter.set(pass);
  if (what == "no-gguf") adapter.upload(inferlet::Blob(std::vector<uint8_t>(100, 'x')), "wrong");
  if (what == "seed-alone") {
    inferlet::abi::set_adapter_seed(pass.handle(), 3);
    pass.input_tokens(token, position);
    pass.execute();
  }
  if (what == "rank") adapter.initialize({.rank = 0});
  if (what == "scores") {
    adapter.initialize(kStrong);
    adapter.update(score, seeds, 1);
  }
  if (what == "memory") {
    std::vector<Adapter> many;
    for (int i = 0; i < 1000; ++i) {
      many.emplace_back(model());
      many.back().initialize({.rank = 64});
    }
  }
}

const std::map<std::string, std::function<void()>> kScenarios = {{"cache", cache},
                                                                 {"fork", fork},
                                                                 {"generate", generate},
                                                                 {"refusals", refusals},
                                                                 {"values", values}};

}  // namespace

inferlet::Result<std::string> inferlet_main(const Arguments& arguments) {
  if (arguments.size() == 2 && arguments[0] == "wrong") {
    wrong(arguments[1]);
    return inferlet::fail("nothing happened");
  }
  const auto scenario = kScenarios.find(arguments.empty() ? "" : arguments.front());
  if (scenario == kScenarios.end()) return inferlet::fail("no such scenario");
  scenario->second();
  if (!failure.empty()) return inferlet::fail(scenario->first + ": " + failure);
  return scenario->first + ": passed";
}
