// A watermark that changes no probability on average (tournament sampling, as SynthID-Text has it):
// the last tokens and a key give each candidate a random bit in each of many rounds, and in each
// round candidates with a 1 win. Over all keys a token is drawn as often as without; who has the
// key sees that the bits of a text are 1 too often.
//
//   --prompt, -p        the user turn
//   --detect            look for the watermark in this text instead; answers with JSON
//   --key, -k           which watermark (default 1)
//   --rounds, -r        of the tournament (default 20); 0: no watermark
//   --max-tokens, -n    tokens of the text at most (default 128)
//   --temperature, -t   of the sampling (default 1)
//   --seed, -s          the same text again (default 1)
//
// `z` counts standard deviations of the mean bit from one half.
#include <pie/inferlet.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

using namespace inferlet;

namespace {

constexpr size_t kContext = 4;        // tokens that the bits depend on, besides the candidate
constexpr uint32_t kCandidates = 64;  // the most probable ones

uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31U);
}

/// What the key makes of the last tokens.
uint64_t state_of(int64_t key, std::span<const uint32_t> before) {
  uint64_t state = mixed(static_cast<uint64_t>(key) + 0x9E3779B97F4A7C15U);
  for (const uint32_t token : before.last(std::min(before.size(), kContext)))
    state = mixed(state + token + 1);
  return state;
}

/// The bits of a candidate, one for each round.
uint64_t bits_of(uint64_t state, uint32_t token) { return mixed(state ^ mixed(token + 1U)); }

/// All rounds of the tournament at once: what the winner's distribution is.
void play(Distribution& of, uint64_t state, int64_t rounds) {
  for (int64_t round = 0; round < rounds; ++round) {
    float ones = 0.0F;
    const auto bit = [&](uint32_t token) { return (bits_of(state, token) >> round & 1U) != 0; };
    for (size_t i = 0; i < of.ids.size(); ++i) ones += bit(of.ids[i]) ? of.probabilities[i] : 0.0F;
    for (size_t i = 0; i < of.ids.size(); ++i)
      of.probabilities[i] *= bit(of.ids[i]) ? 2.0F - ones : 1.0F - ones;
  }
}

std::string detected(int64_t key, int64_t rounds, std::span<const uint32_t> tokens) {
  // What repeats itself counts once.
  std::set<std::pair<uint64_t, uint32_t>> seen;
  int64_t ones = 0, all = 0;
  for (size_t i = kContext; i < tokens.size(); ++i) {
    const uint64_t state = state_of(key, tokens.first(i));
    if (!seen.emplace(state, tokens[i]).second) continue;
    const uint64_t bits = bits_of(state, tokens[i]);
    for (int64_t round = 0; round < rounds; ++round, ++all)
      ones += static_cast<int64_t>(bits >> round & 1U);
  }
  const double z =
      all == 0 ? 0.0 : (static_cast<double>(2 * ones - all)) / std::sqrt(static_cast<double>(all));
  return Json(Json::Object{{"tokens", static_cast<int64_t>(seen.size())}, {"z", z}}).text();
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt, text;
  int64_t key = 1, rounds = 20, max_tokens = 128, seed = 1;
  double temperature = 1.0;
  ArgumentParser parser;
  parser.option("prompt", 'p', &prompt)
      .option("detect", 0, &text)
      .option("key", 'k', &key)
      .number("rounds", 'r', &rounds, 0, 64)
      .number("max-tokens", 'n', &max_tokens, 1)
      .option("temperature", 't', &temperature)
      .option("seed", 's', &seed);
  co_await ok(parser.parse(arguments));
  if (prompt.empty() == text.empty())
    co_return fail("[arguments] expected one of --prompt and --detect");

  Context context = co_await ok(Context::create());
  if (!text.empty())
    co_return detected(key, std::max<int64_t>(rounds, 1), context.tokenizer().tokenize(text));
  context.fill_user(prompt);
  co_await ok(context.open_answer());
  std::vector<uint32_t> written;  // bits depend on the answer alone, which is what a detector has
  std::mt19937_64 random(static_cast<uint64_t>(seed));
  const auto choose = [&](const Distribution& distribution) {
    Distribution left = distribution;
    if (written.size() >= kContext) play(left, state_of(key, written), rounds);
    std::discrete_distribution<size_t> draw(left.probabilities.begin(), left.probabilities.end());
    written.push_back(left.ids[draw(random)]);
    return written.back();
  };
  co_return co_await ok(context.generate(
      Sampler::custom(static_cast<float>(temperature), kCandidates, choose),
      Stop::max_len(static_cast<size_t>(max_tokens)) | Stop::end_of_turn(context.model())));
}
