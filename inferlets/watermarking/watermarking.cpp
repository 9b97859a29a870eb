// A text that tells whoever has the key that a model wrote it. The token before each one splits the
// vocabulary into a green and a red half; green tokens get a bias. A text of people has as many red
// ones as green ones; a watermarked one has too many green ones to be chance.
//
//   --prompt, -p        the user turn
//   --detect            look for the watermark in this text instead; answers with JSON
//   --key, -k           which watermark (default 1)
//   --bias, -b          what is added to the logits of green tokens (default 3); 0: no watermark
//   --max-tokens, -n    tokens of the text at most (default 128)
//   --temperature, -t   0: always the most probable token (default 1)
//   --seed, -s          the same text again (default 1)
//
// `z` counts standard deviations: above 4 there is hardly a doubt (1 in 30,000), as soon as a text
// has some 50 tokens.
#include <pie/inferlet.h>

#include <array>
#include <cmath>
#include <set>

namespace {

using inferlet::fail;
using inferlet::Json;
using inferlet::Result;
namespace logits = inferlet::logits;

struct Options {
  std::string prompt, text;
  int64_t key = 1;
  double bias = 3.0;
  int64_t max_tokens = 128;
  double temperature = 1.0;
  int64_t seed = 1;
};

/// Of the two halves that `previous` splits the vocabulary into the green one: a bit of a hash.
bool is_green(int64_t key, uint32_t previous, uint32_t token) {
  uint64_t x =
      (uint64_t{previous} << 32U | token) + static_cast<uint64_t>(key) * 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return ((x ^ (x >> 31U)) & 1U) != 0;
}

inferlet::TokenSet green_tokens(int64_t key, uint32_t previous, uint32_t vocabulary_size) {
  std::vector<uint8_t> bits((vocabulary_size + 7) / 8);
  for (uint32_t token = 0; token < vocabulary_size; ++token)
    if (is_green(key, previous, token)) bits[token / 8] |= static_cast<uint8_t>(1U << token % 8);
  return inferlet::TokenSet(bits);
}

/// How green a text is. A pair of tokens counts once, or a text that repeats itself would look
/// green or red by one accident.
std::string detected(const Options& options, const inferlet::Tokenizer& tokenizer) {
  const std::vector<uint32_t> tokens = tokenizer.tokenize(options.text);
  std::set<std::pair<uint32_t, uint32_t>> pairs;
  int64_t green = 0;
  for (size_t i = 1; i < tokens.size(); ++i) {
    if (!pairs.emplace(tokens[i - 1], tokens[i]).second) continue;
    if (is_green(options.key, tokens[i - 1], tokens[i])) ++green;
  }
  const auto count = static_cast<double>(pairs.size());
  const double z =
      pairs.empty() ? 0.0 : (static_cast<double>(green) - count / 2) / std::sqrt(count / 4);
  return Json(Json::Object{{"tokens", Json(static_cast<int64_t>(pairs.size()))},
                           {"green", Json(green)},
                           {"z", Json(z)}})
      .text();
}

/// The model's answer to what is in `prompt`, with the watermark.
Result<std::string> written(const Options& options, const inferlet::Context& prompt) {
  const inferlet::Model& model = prompt.model();
  const auto pool = std::make_shared<inferlet::KvPages>(model.create_queue(), model.kv_page_size());
  const auto stop = inferlet::Stop::max_len(static_cast<size_t>(options.max_tokens)) |
                    inferlet::Stop::end_of_turn(model);
  const uint32_t vocabulary_size = model.info().vocab_size;
  std::vector<uint32_t> pending = prompt.tokens(), answer, pages;
  std::vector<std::shared_ptr<const inferlet::KvPage>> held;
  inferlet::ForwardPass pass(pool->queue());
  inferlet::Stop::Verdict verdict;
  for (uint32_t length = 0; !verdict.stop;) {  // of what is computed
    std::vector<uint32_t> positions;
    for (size_t i = 0; i < pending.size(); ++i) positions.push_back(length++);
    while (pages.size() * pool->page_size() < length) {
      held.push_back(pool->take(1).front());
      pages.push_back(held.back()->number());
    }
    pass.kv_cache(pages, (length - 1) % pool->page_size() + 1);
    pass.input_tokens(pending, positions);
    const std::array last = {static_cast<uint32_t>(pending.size() - 1)};
    if (options.bias != 0.0) {
      const auto green = green_tokens(options.key, pending.back(), vocabulary_size);
      auto biased = logits::bias(pass, last, green, static_cast<float>(options.bias));
      if (!biased) return fail(biased.error());
    }
    auto asked = logits::output_tokens(
        pass, last,
        {.temperature = static_cast<float>(options.temperature),
         .draw = inferlet::SeededDraw{static_cast<uint64_t>(options.seed), length}});
    if (!asked) return fail(asked.error());
    const auto result = logits::execute(pass);
    if (!result) return fail(result.error());
    (*result)->wait();
    pending = *(*result)->tokens();
    answer.push_back(pending.front());
    verdict = stop.check(answer);
  }
  answer.resize(answer.size() - verdict.withheld);
  return prompt.tokenizer().detokenize(answer);
}

}  // namespace

Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  Options options;
  inferlet::ArgumentParser parser;
  parser.option("prompt", 'p', &options.prompt)
      .option("detect", 0, &options.text)
      .option("key", 'k', &options.key)
      .option("bias", 'b', &options.bias)
      .option("max-tokens", 'n', &options.max_tokens)
      .option("temperature", 't', &options.temperature)
      .option("seed", 's', &options.seed);
  if (auto parsed = parser.parse(arguments); !parsed) return fail(parsed.error());
  if (options.prompt.empty() == options.text.empty())
    return fail("[arguments] expected one of --prompt and --detect");
  if (options.max_tokens < 1)
    return fail("[--max-tokens] got " + std::to_string(options.max_tokens) +
                ", expected 1 or more");

  auto prompt = inferlet::Context::create();
  if (!prompt) return fail(prompt.error());
  if (!options.text.empty()) return detected(options, prompt->tokenizer());
  prompt->fill_user(options.prompt);
  if (auto opened = prompt->open_answer(); !opened) return fail(opened.error());
  if (prompt->size() == 0) return fail("[--prompt] the model's chat template makes nothing of it");
  return written(options, *prompt);
}
