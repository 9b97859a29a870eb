// Measures decoding from the inside: computes a random prefix, says "ready", waits for a message,
// then decodes, and prints the nanoseconds from the first step to the last and the pages it holds.
//
//   --sequences, -s   sequences behind the same prefix, each step one token of each
//   --prefix, -p      tokens of the prefix, a multiple of the page size
//   --tokens, -n      steps that are measured
//   --warmup, -w      steps before
#include <pie/inferlet.h>

#include "sequence.h"

namespace {

struct Options {
  int64_t sequences = 1;
  int64_t prefix = 64;
  int64_t tokens = 64;
  int64_t warmup = 4;
};

/// One token of each sequence.
bool step(std::vector<bench::Sequence>& sequences, std::vector<uint32_t>& next) {
  for (size_t i = 0; i < sequences.size(); ++i) sequences[i].begin({next[i]});
  for (size_t i = 0; i < sequences.size(); ++i) {
    const auto token = sequences[i].end();
    if (!token) return false;
    next[i] = *token;
  }
  return true;
}

}  // namespace

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  Options options;
  inferlet::ArgumentParser parser;
  parser.option("sequences", 's', &options.sequences)
      .option("prefix", 'p', &options.prefix)
      .option("tokens", 'n', &options.tokens)
      .option("warmup", 'w', &options.warmup);
  if (auto parsed = parser.parse(arguments); !parsed) return inferlet::fail(parsed.error());

  auto model = inferlet::default_model();
  if (!model) return inferlet::fail(model.error());
  auto pool = std::make_shared<inferlet::KvPages>(model->create_queue(), model->kv_page_size());
  bench::RandomTokens random;
  bench::Sequence prefix(pool);
  if (options.prefix > 0) {
    prefix.begin(random.take(static_cast<size_t>(options.prefix)));
    if (!prefix.end()) return inferlet::fail("[prefix] got no token, expected one");
  }
  std::vector<bench::Sequence> sequences;
  std::vector<uint32_t> next = random.take(static_cast<size_t>(options.sequences));
  for (int64_t i = 0; i < options.sequences; ++i) sequences.push_back(prefix.fork());
  inferlet::send("ready");
  inferlet::receive().wait();
  for (int64_t i = 0; i < options.warmup; ++i) {
    if (!step(sequences, next)) return inferlet::fail("[decode] got no token, expected one");
  }
  const uint64_t started = bench::now_ns();
  for (int64_t i = 0; i < options.tokens; ++i) {
    if (!step(sequences, next)) return inferlet::fail("[decode] got no token, expected one");
  }
  const uint64_t took = bench::now_ns() - started;
  size_t pages = prefix.page_count();
  for (const auto& sequence : sequences) pages += sequence.page_count() - prefix.page_count();
  return std::to_string(took) + " " + std::to_string(pages);
}
