#pragma once
// What the programs of bench/agents have in common. Each of them does one unit of a workload: it is
// told which texts to read and how many tokens to write, and returns what it wrote. The peer's
// client (peer_units.py) does the same, with the same texts (texts.py).
#include <pie/generation.h>
#include <pie/inferlet.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

using inferlet::Context;
using inferlet::fail;
using inferlet::Result;
using inferlet::Task;
using Tokens = std::vector<uint32_t>;

/// The first `count` tokens of text `number`: ordinary tokens of every vocabulary that is measured,
/// in an order that no other number has. texts.py makes the same.
inline Tokens text(uint64_t number, size_t count) {
  constexpr uint64_t kTokenMin = 1000, kTokenCount = 39'000;
  Tokens tokens(count);
  for (size_t i = 0; i < count; ++i) {
    uint64_t bits = (number << 20U) + i + 0x9e3779b97f4a7c15;  // splitmix64
    bits = (bits ^ (bits >> 30U)) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ (bits >> 27U)) * 0x94d049bb133111eb;
    tokens[i] = static_cast<uint32_t>(kTokenMin + (bits ^ (bits >> 31U)) % kTokenCount);
  }
  return tokens;
}

/// What a unit has written so far.
struct Output {
  std::string text;
  size_t tokens = 0;

  void add(std::string_view piece, size_t count) {
    text += piece;
    text += '\n';
    tokens += count;
  }
  /// What the program returns.
  std::string json() const {
    return inferlet::Json(
               inferlet::Json::Object{{"tokens", inferlet::Json(static_cast<int64_t>(tokens))},
                                      {"text", inferlet::Json(text)}})
        .text();
  }
};

/// How free text is drawn; the peer draws in the same way.
inline inferlet::Sampler drawn(uint64_t seed) {
  return inferlet::Sampler::top_k(0.8F, 40).with_seed(seed);
}

/// Lets the model write exactly `count` tokens at the end of the context, and returns them. The
/// same sampler in two forks of a context gives the same tokens.
inline Task<Result<Tokens>> write(Context& context, int64_t count, inferlet::Sampler sampler,
                                  Output& output) {
  const size_t before = context.size();
  const auto written = co_await context.generate(
      std::move(sampler), inferlet::Stop::max_len(static_cast<size_t>(count)));
  if (!written) co_return fail(written.error());
  Tokens tokens = context.tokens();
  tokens.erase(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(before));
  output.add(*written, tokens.size());
  co_return tokens;
}

/// What a unit begins with: `--shared` tokens of the text `--shared-text`, which other units read
/// as well, and `--prompt` tokens of its own text, `--text`.
struct Beginning {
  int64_t shared = 0, shared_text = 0, prompt = 64, text = 1;

  void add_options(inferlet::ArgumentParser& parser) {
    parser.option("shared", 0, &shared).option("shared-text", 0, &shared_text);
    parser.option("prompt", 0, &prompt).option("text", 0, &text);
  }
  Tokens tokens() const {
    Tokens all = bench::text(static_cast<uint64_t>(shared_text), static_cast<size_t>(shared));
    const Tokens own = bench::text(number(0), static_cast<size_t>(prompt));
    all.insert(all.end(), own.begin(), own.end());
    return all;
  }
  Result<Context> read() const {
    auto context = Context::create();
    if (!context) return context;
    if (auto filled = context->fill_tokens(tokens()); !filled) return fail(filled.error());
    return context;
  }
  /// A number of the unit's own, for a text or a seed.
  uint64_t number(int64_t index) const { return static_cast<uint64_t>(text + index); }
  /// A text of the unit's own.
  Tokens text_of(int64_t index, int64_t count) const {
    return bench::text(number(index), static_cast<size_t>(count));
  }
};

/// Lets the engine write what the request says, in pages of its own.
inline Task<Result<inferlet::GenerationEnd>> run(const inferlet::Model& model,
                                                 inferlet::GenerationRequest request, uint64_t seed,
                                                 std::optional<inferlet::Matcher> matcher,
                                                 Output& output) {
  const size_t page_size = model.kv_page_size();
  auto pool = std::make_shared<inferlet::KvPages>(model.create_queue(), model.kv_page_size());
  const auto pages =
      pool->take((request.pending.size() + request.tokens_max + page_size - 1) / page_size);
  for (const auto& page : pages) request.pages.push_back(page->number());
  request.sampling.temperature = 0.8F;
  request.sampling.top_k = 40;
  request.sampling.seed = seed;
  request.wake_tokens = request.tokens_max;
  auto generation = matcher ? inferlet::Generation::start(pool->queue(), request, *matcher)
                            : inferlet::Generation::start(pool->queue(), request);
  if (!generation) co_return fail(generation.error());
  std::optional<inferlet::GenerationEnd> end;
  while (!(end = generation->end())) co_await inferlet::until_ready(generation->pollable());
  if (end->reason == inferlet::GenerationEnd::Reason::kFailed) co_return fail(end->message);
  output.add(generation->read().text, end->tokens);
  co_return *end;
}

}  // namespace bench
