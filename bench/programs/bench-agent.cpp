// An agent of several turns: reads a random document, then again and again takes some new tokens
// in, answers, and waits for its tool. Returns how many tokens it generated.
//
//   --context, -c    tokens of the document
//   --turns, -t      turns
//   --input, -i      new tokens of a turn
//   --answer, -a     tokens of an answer
//   --pause-min, --pause-max   milliseconds that the tool takes, evenly distributed
#include <pie/inferlet.h>

#include <chrono>
#include <random>

#include "sequence.h"

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  int64_t context = 1024;
  int64_t turns = 4;
  int64_t input = 32;
  int64_t answer = 32;
  int64_t pause_min = 100;
  int64_t pause_max = 2000;
  int64_t seed = 1;
  inferlet::ArgumentParser parser;
  parser.option("context", 'c', &context)
      .option("turns", 't', &turns)
      .option("input", 'i', &input)
      .option("answer", 'a', &answer)
      .option("pause-min", 0, &pause_min)
      .option("pause-max", 0, &pause_max)
      .option("seed", 's', &seed);
  if (auto parsed = parser.parse(arguments); !parsed) return inferlet::fail(parsed.error());

  auto model = inferlet::default_model();
  if (!model) return inferlet::fail(model.error());
  auto pool = std::make_shared<inferlet::KvPages>(model->create_queue(), model->kv_page_size());
  bench::RandomTokens random;
  // Pauses are the same in every run of a seed, so that runs can be compared.
  std::mt19937_64 source(static_cast<uint64_t>(seed));
  std::uniform_int_distribution<int64_t> pause(pause_min, pause_max);
  bench::Sequence sequence(pool);
  std::vector<uint32_t> pending = random.take(static_cast<size_t>(context));
  int64_t generated = 0;
  for (int64_t turn = 0; turn < turns; ++turn) {
    for (int64_t i = 0; i < answer; ++i) {
      sequence.begin(pending);
      const auto token = sequence.end();
      if (!token) return inferlet::fail("[agent] got no token, expected one");
      pending = {*token};
      ++generated;
    }
    inferlet::sleep_for(std::chrono::milliseconds(pause(source)));
    for (const uint32_t token : random.take(static_cast<size_t>(input))) pending.push_back(token);
  }
  return std::to_string(generated);
}
