// Classifier-free guidance: two contexts, one with what is wanted and one without; the next token
// is taken by how much the first differs from the second, more so than the model itself would.
//
//   --prompt, -p        the user turn (required)
//   --system, -s        what is wanted, as the system turn (required)
//   --negative          a system turn for the other context (default: none)
//   --scale, -g         0: the other context alone; 1: no guidance; above: guided (default 1.5)
//   --max-tokens, -n    tokens of the answer at most (default 32)
//
// logits = without + scale * (with - without), the best token of it. Both contexts take each step
// in one batch. Returns JSON: the `text`, its `tokens`, and `pull`, by how much more likely it is
// with the system turn than without (a mean over tokens of log-probabilities).
#include <pie/inferlet.h>

#include <algorithm>
#include <array>
#include <cmath>

using namespace inferlet;

namespace {

double log_probability(const std::vector<float>& logits, uint32_t token) {
  const float most = std::ranges::max(logits);
  double sum = 0.0;
  for (const float one : logits) sum += std::exp(static_cast<double>(one - most));
  return static_cast<double>(logits[token] - most) - std::log(sum);
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt, system, negative;
  double scale = 1.5;
  int64_t max_tokens = 32;
  ArgumentParser parser;
  parser.text("prompt", 'p', &prompt)
      .text("system", 's', &system)
      .option("negative", 0, &negative)
      .option("scale", 'g', &scale)
      .number("max-tokens", 'n', &max_tokens, 1);
  co_await ok(parser.parse(arguments));

  Context with = co_await ok(Context::create()), without = co_await ok(Context::create());
  with.fill_system(system);
  if (!negative.empty()) without.fill_system(negative);
  for (Context* one : {&with, &without}) {
    one->fill_user(prompt);
    co_await ok(one->open_answer());
  }
  const auto stop =
      Stop::max_len(static_cast<size_t>(max_tokens)) | Stop::end_of_turn(with.model());
  std::vector<uint32_t> tokens;
  double pull = 0.0;
  Stop::Verdict verdict;
  while (!verdict.stop) {
    auto both = co_await when_all(with.next_logits(), without.next_logits());
    const std::vector<float> a = co_await ok(std::get<0>(std::move(both)));
    const std::vector<float> b = co_await ok(std::get<1>(std::move(both)));
    std::vector<float> guided(a.size());
    for (size_t i = 0; i < a.size(); ++i)
      guided[i] = b[i] + static_cast<float>(scale) * (a[i] - b[i]);
    const auto token = static_cast<uint32_t>(std::ranges::max_element(guided) - guided.begin());
    pull += log_probability(a, token) - log_probability(b, token);
    tokens.push_back(token);
    for (Context* one : {&with, &without}) co_await ok(one->fill_tokens(std::array{token}));
    verdict = stop.check(tokens);
  }
  pull /= static_cast<double>(tokens.size());
  tokens.resize(tokens.size() - verdict.withheld);
  co_return Json(Json::Object{{"text", with.tokenizer().detokenize(tokens)},
                              {"tokens", to_json(tokens)},
                              {"pull", pull}})
      .text();
}
