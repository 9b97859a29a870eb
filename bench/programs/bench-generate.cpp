// Measures generations that the engine runs itself: fills a context, says "ready", waits for a
// message, then generates, and returns a line of JSON: nanoseconds, tokens of all, passes, drafted
// and accepted tokens, and a hash of the tokens.
//
//   --prompt            the context's text; without one, random tokens
//   --sequences, -s     generations behind the same context, at once
//   --prefix, -p        random tokens of the context, a multiple of the page size
//   --tokens, -n        of each generation
//   --draft, -d         tokens that are tried in a pass at most; 0: no drafts
//   --temperature, -t
//   --seed
//   --wake, -w          tokens that wake the program
#include <pie/generation.h>
#include <pie/inferlet.h>

#include "sequence.h"

namespace {

struct Options {
  std::string prompt;
  int64_t sequences = 1, prefix = 64, tokens = 64, draft = 0, seed = 1, wake = 1;
  double temperature = 0;
};

struct Totals {
  uint64_t tokens = 0, passes = 0, drafted = 0, accepted = 0, hash = 0xcbf29ce484222325;
};

inferlet::Result<void> finish(inferlet::Generation& generation, Totals& totals) {
  while (const auto piece = generation.next()) {
    for (const uint32_t token : piece->tokens) totals.hash = (totals.hash ^ token) * 0x100000001b3;
  }
  const inferlet::GenerationEnd end = *generation.end();
  if (end.reason == inferlet::GenerationEnd::Reason::kFailed) return inferlet::fail(end.message);
  totals.tokens += end.tokens;
  totals.passes += end.passes;
  totals.drafted += end.drafted;
  totals.accepted += end.accepted;
  return {};
}

/// A context in pages, all but its last token computed.
struct Computed {
  std::shared_ptr<inferlet::KvPages> pool;
  std::vector<std::shared_ptr<const inferlet::KvPage>> pages;
  std::vector<uint32_t> tokens;
  uint32_t pending = 0;
};

Computed compute(const inferlet::Model& model, std::vector<uint32_t> tokens) {
  Computed context{std::make_shared<inferlet::KvPages>(model.create_queue(), model.kv_page_size()),
                   {},
                   std::move(tokens),
                   0};
  context.pending = context.tokens.back();
  context.tokens.pop_back();
  if (context.tokens.empty()) return context;
  const size_t page_size = context.pool->page_size();
  context.pages = context.pool->take((context.tokens.size() + page_size - 1) / page_size);
  std::vector<uint32_t> numbers, positions;
  for (const auto& page : context.pages) numbers.push_back(page->number());
  for (uint32_t i = 0; i < context.tokens.size(); ++i) positions.push_back(i);
  inferlet::ForwardPass pass(context.pool->queue());
  pass.kv_cache(numbers, static_cast<uint32_t>((context.tokens.size() - 1) % page_size + 1));
  pass.input_tokens(context.tokens, positions);
  pass.execute();
  context.pool->queue().synchronize();
  return context;
}

/// A request that goes on from the context, in pages of its own behind the full ones of it.
inferlet::GenerationRequest request_of(const Computed& context, const Options& options,
                                       uint64_t index,
                                       std::vector<std::shared_ptr<const inferlet::KvPage>>& own) {
  const size_t page_size = context.pool->page_size();
  const size_t shared =
      options.sequences == 1 ? context.pages.size() : context.tokens.size() / page_size;
  const size_t computed = options.sequences == 1 ? context.tokens.size() : shared * page_size;
  const size_t total = context.tokens.size() + 1 + static_cast<size_t>(options.tokens);
  inferlet::GenerationRequest request;
  for (size_t i = 0; i < shared; ++i) request.pages.push_back(context.pages[i]->number());
  for (auto& page : context.pool->take((total + page_size - 1) / page_size - shared)) {
    request.pages.push_back(page->number());
    own.push_back(std::move(page));
  }
  request.context_length = static_cast<uint32_t>(computed);
  request.context.assign(context.tokens.begin(),
                         context.tokens.begin() + static_cast<ptrdiff_t>(computed));
  request.pending.assign(context.tokens.begin() + static_cast<ptrdiff_t>(computed),
                         context.tokens.end());
  request.pending.push_back(context.pending);
  request.position = request.context_length;
  request.sampling.temperature = static_cast<float>(options.temperature);
  request.sampling.seed = static_cast<uint64_t>(options.seed) + index;
  request.drafting.tokens_max = static_cast<uint32_t>(options.draft);
  request.tokens_max = static_cast<uint32_t>(options.tokens);
  request.wake_tokens = static_cast<uint32_t>(options.wake);
  return request;
}

std::string line(const Totals& totals, uint64_t took_ns) {
  return "{\"ns\": " + std::to_string(took_ns) + ", \"tokens\": " + std::to_string(totals.tokens) +
         ", \"passes\": " + std::to_string(totals.passes) +
         ", \"drafted\": " + std::to_string(totals.drafted) +
         ", \"accepted\": " + std::to_string(totals.accepted) +
         ", \"hash\": " + std::to_string(totals.hash) + "}";
}

}  // namespace

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  Options options;
  inferlet::ArgumentParser parser;
  parser.option("prompt", 0, &options.prompt)
      .option("sequences", 's', &options.sequences)
      .option("prefix", 'p', &options.prefix)
      .option("tokens", 'n', &options.tokens)
      .option("draft", 'd', &options.draft)
      .option("temperature", 't', &options.temperature)
      .option("seed", 0, &options.seed)
      .option("wake", 'w', &options.wake);
  if (auto parsed = parser.parse(arguments); !parsed) return inferlet::fail(parsed.error());
  auto model = inferlet::default_model();
  if (!model) return inferlet::fail(model.error());
  bench::RandomTokens random;
  const Computed context =
      compute(*model, options.prompt.empty() ? random.take(static_cast<size_t>(options.prefix) + 1)
                                             : model->tokenizer().tokenize(options.prompt));
  inferlet::send("ready");
  inferlet::receive().wait();
  std::vector<std::shared_ptr<const inferlet::KvPage>> own;
  std::vector<inferlet::GenerationRequest> requests;
  for (int64_t i = 0; i < options.sequences; ++i)
    requests.push_back(request_of(context, options, static_cast<uint64_t>(i), own));
  const uint64_t started = bench::now_ns();
  std::vector<inferlet::Generation> generations;
  for (const auto& request : requests) {
    auto generation = inferlet::Generation::start(context.pool->queue(), request);
    if (!generation) return inferlet::fail(generation.error());
    generations.push_back(std::move(*generation));
  }
  Totals totals;
  for (inferlet::Generation& one : generations)
    if (auto done = finish(one, totals); !done) return inferlet::fail(done.error());
  return line(totals, bench::now_ns() - started);
}
