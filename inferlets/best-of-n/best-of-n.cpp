// The best of several answers: by what the model itself thinks of them, or by a vote among them
// (self-consistency). The prompt's full pages are computed once; the answers are sampled at once.
//
//   --prompt, -p        the user turn (required)
//   --count, -c         how many answers (default 8)
//   --vote              the answer whose last number most answers end with, instead of the one with
//                       the best mean log-probability; the best one of these is returned
//   --max-tokens, -n    tokens of one answer at most (default 64)
//   --temperature, -t   of the sampling (default 0.8)
//   --seed, -s          of the first answer, the others take the next numbers (default 1)
//
// Sends every answer to the client as JSON (text, tokens, mean_log_probability, number), and
// returns the chosen one.
#include <pie/inferlet.h>

#include <algorithm>
#include <map>
#include <numeric>

using namespace inferlet;

namespace {

struct Sample {
  std::string text, number;
  std::vector<uint32_t> tokens;
  double mean_log_probability;
  static constexpr auto kFields =
      std::tuple(Field{"text", &Sample::text}, Field{"tokens", &Sample::tokens},
                 Field{"mean_log_probability", &Sample::mean_log_probability},
                 Field{"number", &Sample::number});
};

/// The last number in a text; empty where it has none.
std::string last_number(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789";
  const size_t last = text.find_last_of(kDigits);
  if (last == std::string_view::npos) return "";
  size_t begin = text.find_last_not_of("0123456789.,", last) + 1;
  begin = text.find_first_of(kDigits, begin);
  std::string number;
  for (const char one : text.substr(begin, last + 1 - begin))
    if (one != ',') number += one;
  return number;
}

Task<Result<Sample>> sampled(Context context, Sampler sampler, Stop stop) {
  const auto said = co_await ok(context.generate(sampler, stop, {.log_probabilities = true}));
  const auto& logs = said.log_probabilities;
  const double sum = std::accumulate(logs.begin(), logs.end(), 0.0);
  co_return Sample{said.text, last_number(said.text), said.tokens,
                   sum / static_cast<double>(logs.size())};
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt;
  int64_t count = 8, max_tokens = 64, seed = 1;
  bool is_vote = false;
  double temperature = 0.8;
  ArgumentParser parser;
  parser.text("prompt", 'p', &prompt)
      .number("count", 'c', &count, 1, 256)
      .option("vote", 0, &is_vote)
      .number("max-tokens", 'n', &max_tokens, 1)
      .option("temperature", 't', &temperature)
      .option("seed", 's', &seed);
  co_await ok(parser.parse(arguments));

  Context root = co_await ok(Context::create());
  root.fill_user(prompt);
  co_await ok(root.open_answer());
  co_await ok(root.flush());  // what a fork shares is what is computed
  const auto stop =
      Stop::max_len(static_cast<size_t>(max_tokens)) | Stop::end_of_turn(root.model());
  const auto sampler = Sampler::multinomial(static_cast<float>(temperature));
  std::vector<Task<Result<Sample>>> tasks;
  for (int64_t i = 0; i < count; ++i)
    tasks.push_back(sampled(root.fork(), sampler.with_seed(static_cast<uint64_t>(seed + i)), stop));
  const std::vector<Sample> samples = co_await ok(co_await when_all(std::move(tasks)));

  std::map<std::string, int> votes;
  for (const Sample& sample : samples) {
    send(to_json(sample).text());
    ++votes[sample.number];
  }
  votes[""] = 0;  // who says no number has no vote
  const auto rank = [&](const Sample& sample) {
    return std::pair(is_vote ? votes[sample.number] : 0, sample.mean_log_probability);
  };
  co_return std::ranges::max_element(samples, {}, rank)->text;
}
