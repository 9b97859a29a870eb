// Tries candidates of an adapter that es-init or es-update exported, all in one batch. Several
// instances may share the seeds of a generation.
//
//   --name        of the export (default "es")
//   --seeds       of the candidates, "7,-7,8,-8": s and -s are mirror images; none: the mean itself
//   --prompt, -p  text that the model is given (required)
//   --target, -t  text that it is to say then (required)
//
// Returns JSON, for each candidate its seed and its loss: -log p of a token of the target, on
// average. es-update takes it.
#include <pie/inferlet.h>

#include <charconv>
#include <numeric>
#include <optional>

using namespace inferlet;

namespace {

struct Candidate {
  std::optional<int64_t> seed;
  double loss = 0;
  static constexpr auto kFields =
      std::tuple(Field{"seed", &Candidate::seed}, Field{"loss", &Candidate::loss});
};

/// "7,-7,8" as numbers; without any, one candidate that has no seed.
Result<std::vector<Candidate>> read_seeds(const std::string& text) {
  std::vector<Candidate> candidates;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    int64_t seed = 0;
    const auto [rest, error] = std::from_chars(at, end, seed);
    if (error != std::errc() || (rest < end && *rest != ','))
      return fail("[--seeds] got '" + text + "', expected numbers with commas between them");
    candidates.push_back({seed});
    at = rest + 1;
  }
  if (candidates.empty()) candidates.emplace_back();
  return candidates;
}

/// A pass over prompt and target, without a cache, that asks for each token of the target.
Result<PassResult> submit(const Queue& queue, const Adapter& adapter, std::optional<int64_t> seed,
                          const std::vector<uint32_t>& prompt,
                          const std::vector<uint32_t>& target) {
  ForwardPass pass(queue);
  adapter.set(pass, seed);
  std::vector<uint32_t> tokens = prompt;
  tokens.insert(tokens.end(), target.begin(), target.end());
  std::vector<uint32_t> positions(tokens.size());
  std::iota(positions.begin(), positions.end(), 0U);
  pass.input_tokens(tokens, positions);
  auto index = static_cast<uint32_t>(prompt.size()) - 1;
  for (const uint32_t& token : target)
    if (auto asked = logits::output_log_probabilities(pass, index++, {&token, 1}); !asked)
      return fail(asked.error());
  auto result = logits::execute(pass);
  if (!result) return fail(result.error());
  return std::move(**result);
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string name = "es", seeds, prompt_text, target_text;
  ArgumentParser parser;
  parser.option("name", 0, &name)
      .option("seeds", 0, &seeds)
      .text("prompt", 'p', &prompt_text)
      .text("target", 't', &target_text);
  co_await ok(parser.parse(arguments));
  std::vector<Candidate> candidates = co_await ok(read_seeds(seeds));
  const Model model = co_await ok(default_model());
  const std::vector<uint32_t> prompt = model.tokenizer().tokenize(prompt_text);
  const std::vector<uint32_t> target = model.tokenizer().tokenize(target_text);
  const Adapter adapter = co_await ok(Adapter::import(model, name));

  const Queue queue = model.create_queue();
  std::vector<PassResult> results;
  for (const Candidate& one : candidates)
    results.push_back(co_await ok(submit(queue, adapter, one.seed, prompt, target)));
  for (size_t i = 0; i < results.size(); ++i) {
    co_await until_ready(results[i].pollable());
    const auto scores = logits::log_probabilities(results[i]);
    for (const ScoredTokens& token : *scores) candidates[i].loss -= double{token.values.at(0)};
    candidates[i].loss /= static_cast<double>(target.size());
  }
  co_return to_json(candidates).text();
}
