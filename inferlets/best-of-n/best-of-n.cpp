// The best of several answers: by what the model itself thinks of them, or by a vote among them
// (self-consistency). The prompt's full pages are computed once; the answers are sampled at once.
//
//   --prompt, -p        the user turn (required)
//   --count, -c         how many answers (default 8)
//   --vote              the answer whose last number most answers end with, instead of the one with
//                       the best mean log-probability; the best one of these is returned
//   --max-tokens, -n    tokens of one answer at most (default 64)
//   --temperature, -t   of the sampling (default 0.8)
//   --seed, -s          of the first answer, the others take the next numbers (default 1)
//
// Sends every answer to the client as JSON (text, tokens, mean_log_probability, number), and
// returns the chosen one.
#include <pie/generation.h>
#include <pie/inferlet.h>

#include <algorithm>
#include <map>
#include <numeric>

namespace {

using inferlet::fail;
using inferlet::Generation;
using inferlet::GenerationRequest;
using inferlet::Json;
using inferlet::Result;

struct Options {
  std::string prompt;
  int64_t count = 8;
  bool vote = false;
  int64_t max_tokens = 64;
  double temperature = 0.8;
  int64_t seed = 1;

  Result<void> parse(const std::vector<std::string>& arguments) {
    inferlet::ArgumentParser parser;
    parser.option("prompt", 'p', &prompt)
        .option("count", 'c', &count)
        .option("vote", 0, &vote)
        .option("max-tokens", 'n', &max_tokens)
        .option("temperature", 't', &temperature)
        .option("seed", 's', &seed);
    if (auto parsed = parser.parse(arguments); !parsed) return parsed;
    if (prompt.empty()) return fail("[--prompt] got nothing, expected the prompt's text");
    if (count < 1 || count > 256)
      return fail("[--count] got " + std::to_string(count) + ", expected 1 to 256");
    if (max_tokens < 1)
      return fail("[--max-tokens] got " + std::to_string(max_tokens) + ", expected 1 or more");
    return {};
  }
};

/// Pages of the KV cache, by their numbers.
using Pages = std::vector<std::shared_ptr<const inferlet::KvPage>>;

struct Sample {
  Generation generation;
  Pages pages;  ///< behind those of the prompt
  std::string text;
  std::vector<uint32_t> tokens;
  double log_probability = 0.0;

  double mean() const { return log_probability / static_cast<double>(tokens.size()); }
  Result<void> finish() {
    while (const auto piece = generation.next()) {
      text += piece->text;
      tokens.insert(tokens.end(), piece->tokens.begin(), piece->tokens.end());
      for (const float one : piece->log_probabilities) log_probability += static_cast<double>(one);
    }
    if (const auto end = generation.end(); tokens.empty() && end)
      return fail("[model] " + end->message);
    return {};
  }
};

/// The last number in a text; empty where it has none.
std::string last_number(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789";
  const size_t last = text.find_last_of(kDigits);
  if (last == std::string_view::npos) return "";
  size_t begin = text.find_last_not_of("0123456789.,", last) + 1;
  begin = text.find_first_of(kDigits, begin);
  std::string number;
  for (const char one : text.substr(begin, last + 1 - begin))
    if (one != ',') number += one;
  return number;
}

Json shown(const Sample& sample) {
  Json::Array tokens;
  for (const uint32_t token : sample.tokens) tokens.emplace_back(int64_t{token});
  return Json(Json::Object{{"text", Json(sample.text)},
                           {"tokens", Json(std::move(tokens))},
                           {"mean_log_probability", Json(sample.mean())},
                           {"number", Json(last_number(sample.text))}});
}

/// What every sample begins with. The full pages of the prompt are computed here and belong to all;
/// what is behind them each sample computes itself, into pages of its own.
GenerationRequest beginning(const inferlet::Context& prompt, inferlet::KvPages& pool,
                            const Pages& shared) {
  const std::vector<uint32_t> tokens = prompt.tokens();
  const auto count = static_cast<uint32_t>(shared.size() * pool.page_size());
  GenerationRequest request;
  for (const auto& page : shared) request.pages.push_back(page->number());
  if (count > 0) {
    std::vector<uint32_t> positions(count);
    std::iota(positions.begin(), positions.end(), 0U);
    inferlet::ForwardPass pass(pool.queue());
    pass.kv_cache(request.pages, pool.page_size());
    pass.input_tokens(std::span(tokens).first(count), positions);
    pass.execute();  // does not wait: the samples come behind it in the queue
  }
  request.context.assign(tokens.begin(), tokens.begin() + count);
  request.context_length = request.position = count;
  request.pending.assign(tokens.begin() + count, tokens.end());
  for (const auto& end : inferlet::Stop::end_of_turn(prompt.model()).sequences())
    if (end.size() == 1) request.stop_tokens.push_back(end.front());
  request.log_probabilities = true;
  return request;
}

const Sample& best(const std::vector<Sample>& samples, const Options& options) {
  std::map<std::string, int> votes;
  for (const Sample& sample : samples) ++votes[last_number(sample.text)];
  votes[""] = 0;  // who says no number has no vote
  const auto rank = [&](const Sample& sample) {
    return std::pair(options.vote ? votes[last_number(sample.text)] : 0, sample.mean());
  };
  return *std::ranges::max_element(samples, {}, rank);
}

}  // namespace

Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  Options options;
  if (auto parsed = options.parse(arguments); !parsed) return fail(parsed.error());
  auto prompt = inferlet::Context::create();  // writes the turn; computes nothing
  if (!prompt) return fail(prompt.error());
  prompt->fill_user(options.prompt);
  if (auto opened = prompt->open_answer(); !opened) return fail(opened.error());
  if (prompt->size() == 0) return fail("[--prompt] the model's chat template makes nothing of it");

  const inferlet::Model& model = prompt->model();
  const uint32_t page_size = model.kv_page_size();
  const auto pool = std::make_shared<inferlet::KvPages>(model.create_queue(), page_size);
  const Pages shared = pool->take((prompt->size() - 1) / page_size);  // one token stays for samples
  GenerationRequest request = beginning(*prompt, *pool, shared);
  request.tokens_max = request.wake_tokens = static_cast<uint32_t>(
      std::min<size_t>(static_cast<size_t>(options.max_tokens), prompt->room()));
  request.sampling.temperature = static_cast<float>(options.temperature);

  std::vector<Sample> samples;
  const size_t room = request.pending.size() + request.tokens_max;
  for (int64_t i = 0; i < options.count; ++i) {
    Pages own = pool->take((room + page_size - 1) / page_size);
    GenerationRequest one = request;
    for (const auto& page : own) one.pages.push_back(page->number());
    one.sampling.seed = static_cast<uint64_t>(options.seed + i);
    auto started = Generation::start(pool->queue(), one);
    if (!started) return fail(started.error());
    samples.push_back({std::move(*started), std::move(own), "", {}, 0.0});
  }
  for (Sample& sample : samples) {
    if (auto finished = sample.finish(); !finished) return fail(finished.error());
    inferlet::send(shown(sample).text());
  }
  return best(samples, options).text;
}
