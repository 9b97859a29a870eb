// pie_reference MODEL [TOKENS=64 [THREADS=1]] < prompts.json > continuations.json
//
// Greedy continuations by llama.cpp itself, for tests in other languages. Input: a list of prompts,
// each a text in which special tokens are recognised. Output:
//   {"clear_margin": M, "results": [{"prompt_tokens": N, "tokens": [...], "margins": [...],
//                                    "runner_ups": [...], "pieces": [hex bytes, ...],
//                                    "turn_end": index of the first token that ends a turn, or
//                                    -1}]}
// The rule (docs/NUMERICS.md): a continuation that differs first at step k is right when
// margins[k] <= clear_margin, and wrong otherwise; what follows k cannot be compared.
#include <fmt/format.h>
#include <json.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "model/model.h"
#include "model/tokenizer.h"
#include "numerics/margin_rule.h"
#include "numerics/reference.h"

namespace pie::test {
namespace {

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

template <class Range, class Format>
std::string list(const Range& range, Format format) {
  std::vector<std::string> texts;
  for (const auto& element : range) texts.push_back(format(element));
  return fmt::format("[{}]", fmt::join(texts, ","));
}

std::string continuation(Reference& reference, const model::Tokenizer& tokenizer,
                         const std::string& prompt, uint32_t count) {
  const std::vector<int32_t> ids = reference.tokenize(prompt);
  const std::vector<ReferenceStep> steps = reference.greedy(ids, count);
  int turn_end = -1;
  for (size_t i = steps.size(); i-- > 0;) {
    if (reference.is_turn_end(steps[i].token)) turn_end = static_cast<int>(i);
  }
  const auto bytes = [&](const ReferenceStep& s) {
    return fmt::format("\"{}\"", hex(tokenizer.token_bytes(static_cast<TokenId>(s.token))));
  };
  return fmt::format(
      R"({{"prompt_tokens":{},"tokens":{},"margins":{},"runner_ups":{},"pieces":{},"turn_end":{}}})",
      ids.size(), list(steps, [](const auto& s) { return std::to_string(s.token); }),
      list(steps, [](const auto& s) { return fmt::format("{:.5f}", s.margin); }),
      list(steps, [](const auto& s) { return std::to_string(s.runner_up); }), list(steps, bytes),
      turn_end);
}

int run(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    std::cerr << "usage: pie_reference MODEL [TOKENS=64 [THREADS=1]] < prompts.json\n";
    return 2;
  }
  const auto count = static_cast<uint32_t>(argc > 2 ? std::atoi(argv[2]) : 64);
  const auto threads = static_cast<uint32_t>(argc > 3 ? std::atoi(argv[3]) : 1);
  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  const auto model = model::Model::load(argv[1]).value();
  Reference reference(argv[1], 8192, threads);
  std::vector<std::string> results;
  for (const common_json& prompt : common_json::parse(text)) {
    results.push_back(
        continuation(reference, model->tokenizer(), prompt.get<std::string>(), count));
  }
  std::cout << fmt::format("{{\"clear_margin\":{},\"results\":{}}}\n", kClearMargin,
                           list(results, [](const std::string& r) { return r; }));
  return 0;
}

}  // namespace
}  // namespace pie::test

int main(int argc, char** argv) {
  try {
    return pie::test::run(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << "pie_reference: " << e.what() << "\n";
    return 1;
  }
}
