// An agent of the cache's tests: a context, turns, and pauses in between.
//
//   --context   tokens to begin with        --turns   how many turns
//   --tokens    generated in a turn         --pause-ms  between two turns
//   --prefix    tokens that all agents have in common, before what --seed makes
//   --from      which of its tokens are the first ones
//   --load      a snapshot to begin with instead; --save: one to make of the first prompt
//   --ttl       of that one, in seconds
//   --list, --remove   of snapshots, instead of all that
//   --wait      every turn waits for a message instead of a pause
//
// Sends the tokens of each turn; returns how many tokens it has.
#include <pie/inferlet.h>

#include <chrono>
#include <string>

namespace {

/// A few tokens over and over: what comes next is not in doubt, however the sums are rounded.
uint32_t token_at(int64_t seed, int64_t index) {
  constexpr int64_t kPeriod = 7;
  auto x = static_cast<uint32_t>(seed * 2654435761 + index % kPeriod * 40503 + 12345);
  x ^= x >> 15;
  x *= 2246822519U;
  return 1000 + (x >> 8) % 40000;
}

}  // namespace

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  int64_t context_size = 100, turns = 1, tokens = 8, pause_ms = 0, prefix = 0, seed = 1;
  int64_t ttl = 0, from = 0;
  bool wait = false, list = false;
  std::string load, save, remove;
  inferlet::ArgumentParser parser;
  parser.option("context", 'c', &context_size).option("turns", 'n', &turns);
  parser.option("tokens", 't', &tokens).option("pause-ms", 'p', &pause_ms);
  parser.option("prefix", 'x', &prefix).option("seed", 's', &seed).option("wait", 'w', &wait);
  parser.option("load", 0, &load).option("save", 0, &save).option("ttl", 0, &ttl);
  parser.option("from", 0, &from).option("list", 0, &list).option("remove", 0, &remove);
  if (auto parsed = parser.parse(arguments); !parsed) return inferlet::fail(parsed.error());

  auto context = load.empty() ? inferlet::Context::create() : inferlet::Context::load(load);
  if (!context) return inferlet::fail(context.error());
  if (!remove.empty()) {
    if (auto removed = inferlet::remove_snapshot(context->queue(), remove); !removed)
      return inferlet::fail(removed.error());
    return "removed";
  }
  if (list) {
    const auto entries = inferlet::list_snapshots(context->queue());
    if (!entries) return inferlet::fail(entries.error());
    std::string names;
    for (const auto& one : *entries) names += one.name + ":" + std::to_string(one.tokens) + " ";
    return names;
  }
  std::vector<uint32_t> said;
  for (int64_t i = from; i < from + context_size; ++i)
    said.push_back(token_at(i < prefix ? 0 : seed, i));
  for (int64_t turn = 0; turn < turns; ++turn) {
    if (auto filled = context->fill_tokens(said); !filled) return inferlet::fail(filled.error());
    if (turn == 0 && !save.empty()) {
      const inferlet::SnapshotOptions options{.ttl = std::chrono::seconds(ttl)};
      if (auto saved = context->save(save, options); !saved) return inferlet::fail(saved.error());
      inferlet::send("saved");
      break;
    }
    std::string text;
    for (int64_t i = 0; i < tokens; ++i) {
      const auto token = context->decode_step(inferlet::Sampler::greedy());
      if (!token) return inferlet::fail(token.error());
      text += std::to_string(*token) + " ";
    }
    inferlet::send(text);
    if (turn + 1 == turns) break;
    if (wait) {
      inferlet::receive().wait();
    } else {
      inferlet::sleep_for(std::chrono::milliseconds(pause_ms));
    }
    said.clear();
    for (int64_t i = 0; i < 20; ++i) said.push_back(token_at(seed, turn * 20 + i));
  }
  return std::to_string(context->size()) + " tokens";
}
