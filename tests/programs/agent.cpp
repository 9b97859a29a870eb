// An agent of the cache's tests: a context, turns, and pauses in between.
//
//   --context   tokens to begin with        --turns   how many turns
//   --tokens    generated in a turn         --pause-ms  between two turns
//   --prefix    tokens that all agents have in common, before what --seed makes
//   --wait      every turn waits for a message instead of a pause
//
// Sends the tokens of each turn; returns how many tokens it has.
#include <pie/inferlet.h>

#include <chrono>
#include <string>

namespace {

uint32_t token_at(int64_t seed, int64_t index) {
  auto x = static_cast<uint32_t>(seed * 2654435761 + index * 40503 + 12345);
  x ^= x >> 15;
  x *= 2246822519U;
  return 1000 + (x >> 8) % 40000;
}

}  // namespace

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  int64_t context_size = 100, turns = 1, tokens = 8, pause_ms = 0, prefix = 0, seed = 1;
  bool wait = false;
  inferlet::ArgumentParser parser;
  parser.option("context", 'c', &context_size).option("turns", 'n', &turns);
  parser.option("tokens", 't', &tokens).option("pause-ms", 'p', &pause_ms);
  parser.option("prefix", 'x', &prefix).option("seed", 's', &seed).option("wait", 'w', &wait);
  if (auto parsed = parser.parse(arguments); !parsed) return inferlet::fail(parsed.error());

  auto context = inferlet::Context::create();
  if (!context) return inferlet::fail(context.error());
  std::vector<uint32_t> said;
  for (int64_t i = 0; i < context_size; ++i) said.push_back(token_at(i < prefix ? 0 : seed, i));
  for (int64_t turn = 0; turn < turns; ++turn) {
    if (auto filled = context->fill_tokens(said); !filled) return inferlet::fail(filled.error());
    std::string text;
    for (int64_t i = 0; i < tokens; ++i) {
      const auto token = context->decode_step(inferlet::Sampler::greedy());
      if (!token) return inferlet::fail(token.error());
      text += std::to_string(*token) + " ";
    }
    inferlet::send(text);
    if (turn + 1 == turns) break;
    if (wait) {
      inferlet::receive();
    } else {
      inferlet::sleep_for(std::chrono::milliseconds(pause_ms));
    }
    said.clear();
    for (int64_t i = 0; i < 20; ++i) said.push_back(token_at(seed, 100000 + turn * 20 + i));
  }
  return std::to_string(context->size()) + " tokens";
}
