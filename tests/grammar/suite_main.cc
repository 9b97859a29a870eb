// Reads from stdin: a line "schema N" and N bytes of a JSON Schema, then for each instance
// "instance N" and N bytes. Says for each, in a line: "compiled US", or "refused US REASON";
// "allowed" or "refused at TOKEN of COUNT", with whether the mask of each step agreed, and the
// times of the masks in microseconds.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <iostream>
#include <memory>
#include <string>

#include "grammar/grammar.h"
#include "grammar/matcher.h"
#include "model/model.h"
#include "model/tokenizer.h"

namespace {

using pie::TokenId;
using pie::grammar::Grammar;
using pie::grammar::GrammarKind;
using pie::grammar::Matcher;
using Clock = std::chrono::steady_clock;

double us_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

std::string instance_line(const Grammar& grammar, std::shared_ptr<const Grammar> shared,
                          const pie::model::Tokenizer& tokenizer, const std::string& text) {
  Matcher matcher(std::move(shared));
  std::vector<TokenId> tokens = tokenizer.tokenize(text);
  tokens.push_back(grammar.vocabulary().stops().front());
  std::string masks;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto begin = Clock::now();
    const auto mask = matcher.mask();
    masks += fmt::format(" {:.1f}", us_since(begin));
    if (!mask.ok()) return fmt::format("failed {}", mask.error().message);
    const bool is_in_mask = ((*mask)[tokens[i] / 32] >> (tokens[i] % 32) & 1) != 0;
    int allowed_count = 0;
    for (const uint32_t word : *mask) allowed_count += std::popcount(word);
    const auto accepted = matcher.accept({&tokens[i], 1});
    if (!accepted.ok() && accepted.error().code != pie::ErrorCode::kInvalidArgument)
      return fmt::format("failed {}", accepted.error().message);
    // A token that is forced is the tokenizer's; the text may be cut otherwise and be as valid.
    if (is_in_mask && !accepted.ok()) return "failed a mask with a token that is not accepted";
    if (!is_in_mask && accepted.ok() && allowed_count != 1)
      return "failed a mask without a token that is accepted";
    if (!accepted.ok()) return fmt::format("refused {} {}{}", i, tokens.size(), masks);
  }
  return "allowed" + masks;
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto model = pie::model::Model::load(argv[1]);
  if (!model.ok()) return 1;
  const pie::model::Tokenizer& tokenizer = (*model)->tokenizer();
  pie::grammar::VocabularyData data;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id)
    data.tokens.push_back(tokenizer.token_bytes(id));
  data.control = tokenizer.control_tokens();
  data.stops = (*model)->info().stop_token_ids;
  data.tokenize = [&tokenizer](std::string_view text) { return tokenizer.tokenize(text); };
  auto begin = Clock::now();
  const auto vocabulary = pie::grammar::Vocabulary::make(std::move(data));
  if (!vocabulary.ok()) return 1;
  std::cout << fmt::format("vocabulary {:.0f} {}\n", us_since(begin), (*vocabulary)->bytes());

  std::shared_ptr<const Grammar> grammar;
  std::string kind;
  size_t size = 0;
  while (std::cin >> kind >> size) {
    std::string text(size, '\0');
    std::cin.ignore(1);
    std::cin.read(text.data(), static_cast<std::streamsize>(size));
    if (kind == "schema") {
      begin = Clock::now();
      auto compiled = Grammar::compile(*vocabulary, GrammarKind::kJsonSchema, text);
      const double us = us_since(begin);
      grammar = compiled.ok() ? *compiled : nullptr;
      std::cout << (compiled.ok() ? fmt::format("compiled {:.0f}\n", us)
                                  : fmt::format("refused {:.0f} {}\n", us,
                                                one_line(compiled.error().message)));
    } else if (grammar) {
      std::cout << one_line(instance_line(*grammar, grammar, tokenizer, text)) << "\n";
    } else {
      std::cout << "unread\n";
    }
  }
  return 0;
}
