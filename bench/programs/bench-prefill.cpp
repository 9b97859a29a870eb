// Measures prefill from the inside: prints the nanoseconds of each round, one line each.
//
//   --tokens, -n    tokens of a prompt; each round has a new random one
//   --rounds, -r    how often
#include <pie/inferlet.h>

#include "sequence.h"

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  int64_t tokens = 512;
  int64_t rounds = 1;
  inferlet::ArgumentParser parser;
  parser.option("tokens", 'n', &tokens).option("rounds", 'r', &rounds);
  if (auto parsed = parser.parse(arguments); !parsed) return inferlet::fail(parsed.error());
  if (tokens < 1) return inferlet::fail("[--tokens] expected 1 or more");

  auto model = inferlet::default_model();
  if (!model) return inferlet::fail(model.error());
  auto pool = std::make_shared<inferlet::KvPages>(model->create_queue(), model->kv_page_size());
  bench::RandomTokens random;
  for (int64_t i = 0; i < rounds; ++i) {
    bench::Sequence sequence(pool);
    const std::vector<uint32_t> prompt = random.take(static_cast<size_t>(tokens));
    const uint64_t started = bench::now_ns();
    sequence.begin(prompt);
    if (!sequence.end()) return inferlet::fail("[prefill] got no token, expected one");
    inferlet::print(std::to_string(bench::now_ns() - started) + "\n");
  }
  return "";
}
