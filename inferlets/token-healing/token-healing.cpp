// Goes on with a text that ends anywhere, in the middle of a word too. The text's last token is one
// that the model would hardly have written there; it is taken back, and what comes instead must
// begin with the same letters.
//
//   --prompt, -p        raw text (required)
//   --max-tokens, -n    tokens at most (default 16)
//   --plain             without healing, to compare
//
// Returns what follows the prompt.
#include <pie/inferlet.h>

#include <algorithm>
#include <memory>

using namespace inferlet;

namespace {

/// Tokens whose text begins with `text`, or with which `text` begins.
std::shared_ptr<const TokenSet> beginnings(const std::vector<Tokenizer::Entry>& vocabulary,
                                           std::string_view text) {
  std::vector<uint32_t> fitting;
  for (const auto& [id, bytes] : vocabulary) {
    const std::string_view own(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!own.empty() && (own.starts_with(text) || text.starts_with(own))) fitting.push_back(id);
  }
  return std::make_shared<const TokenSet>(TokenSet::of(fitting));
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt;
  int64_t max_tokens = 16;
  bool is_plain = false;
  ArgumentParser parser;
  parser.text("prompt", 'p', &prompt)
      .number("max-tokens", 'n', &max_tokens, 1)
      .option("plain", 0, &is_plain);
  co_await ok(parser.parse(arguments));

  Context context = co_await ok(Context::create());
  const Tokenizer& tokenizer = context.tokenizer();
  std::vector<uint32_t> tokens = tokenizer.tokenize(prompt);
  std::string open;  // what the next tokens have to begin with
  if (!is_plain && tokens.size() > 1) {
    open = tokenizer.detokenize(std::span(tokens).last(1));
    tokens.pop_back();
  }
  co_await ok(context.fill_tokens(tokens));
  const size_t healed = open.size();
  const auto vocabulary = tokenizer.vocabulary();
  std::string text;
  while (!open.empty()) {
    const auto sampler = Sampler::greedy().with_allowed(beginnings(vocabulary, open));
    const uint32_t token = co_await ok(context.decode_step(sampler));
    const std::string piece = tokenizer.detokenize(std::span(&token, 1));
    open.erase(0, std::min(open.size(), piece.size()));
    text += piece;
  }
  text += co_await ok(context.generate(
      Sampler::greedy(),
      Stop::max_len(static_cast<size_t>(max_tokens)) | Stop::end_of_turn(context.model())));
  co_return text.substr(healed);
}
