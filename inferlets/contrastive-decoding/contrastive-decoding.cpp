// Contrastive decoding: the token that an expert likes much better than an amateur does, among
// those that the expert finds plausible at all. The amateur is another model with the same
// vocabulary, or the same model that has not read the context.
//
//   --context, -c       what the expert has read (required)
//   --prompt, -p        raw text that both go on with (required)
//   --amateur           a model; it reads the context as well (default: the same one, without it)
//   --alpha, -a         plausible: at least so much of the best token's probability (default 0.1)
//   --beta, -b          how much the amateur counts; 0: greedy decoding (default 0.5)
//   --max-tokens, -n    tokens at most (default 32)
//
// score = (1 + beta) * log p(expert) - beta * log p(amateur). Both take each step in one batch.
// Returns JSON: the `text`, its `tokens`, and for each its rank by the expert (0: the best).
#include <pie/inferlet.h>

#include <algorithm>
#include <array>
#include <cmath>

using namespace inferlet;

namespace {

/// Logits as log-probabilities.
std::vector<float> normalized(std::vector<float> logits) {
  const float most = std::ranges::max(logits);
  double sum = 0.0;
  for (const float one : logits) sum += std::exp(static_cast<double>(one - most));
  const float log_sum = most + static_cast<float>(std::log(sum));
  for (float& one : logits) one -= log_sum;
  return logits;
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string read, prompt, amateur_model;
  double alpha = 0.1, beta = 0.5;
  int64_t max_tokens = 32;
  ArgumentParser parser;
  parser.text("context", 'c', &read)
      .text("prompt", 'p', &prompt)
      .option("amateur", 0, &amateur_model)
      .option("alpha", 'a', &alpha)
      .option("beta", 'b', &beta)
      .number("max-tokens", 'n', &max_tokens, 1);
  co_await ok(parser.parse(arguments));
  if (!(alpha > 0.0 && alpha <= 1.0))
    co_return fail("[--alpha] got " + std::to_string(alpha) + ", expected more than 0 to 1");

  Context expert = co_await ok(Context::create());
  Context amateur =
      co_await ok(amateur_model.empty() ? Context::create() : Context::create(amateur_model));
  if (amateur.model().info().vocab_size != expert.model().info().vocab_size)
    co_return fail("[--amateur] got a model of another vocabulary, expected the expert's");
  co_await ok(expert.fill(read + prompt));
  co_await ok(amateur.fill(amateur_model.empty() ? prompt : read + prompt));
  const auto stop =
      Stop::max_len(static_cast<size_t>(max_tokens)) | Stop::end_of_turn(expert.model());
  std::vector<uint32_t> tokens;
  Json::Array ranks;
  Stop::Verdict verdict;
  while (!verdict.stop) {
    auto both = co_await when_all(expert.next_logits(), amateur.next_logits());
    const auto good = normalized(co_await ok(std::get<0>(std::move(both))));
    const auto poor = normalized(co_await ok(std::get<1>(std::move(both))));
    const float bound = std::ranges::max(good) + static_cast<float>(std::log(alpha));
    uint32_t best = 0;
    double most = -INFINITY;
    for (uint32_t token = 0; token < good.size(); ++token) {
      if (good[token] < bound) continue;
      const double score =
          (1 + beta) * static_cast<double>(good[token]) - beta * static_cast<double>(poor[token]);
      if (score > most) {
        most = score;
        best = token;
      }
    }
    ranks.emplace_back(static_cast<int64_t>(
        std::ranges::count_if(good, [&](float one) { return one > good[best]; })));
    tokens.push_back(best);
    for (Context* one : {&expert, &amateur}) co_await ok(one->fill_tokens(std::array{best}));
    verdict = stop.check(tokens);
  }
  tokens.resize(tokens.size() - verdict.withheld);
  co_return Json(Json::Object{{"text", expert.tokenizer().detokenize(tokens)},
                              {"tokens", to_json(tokens)},
                              {"ranks", std::move(ranks)}})
      .text();
}
