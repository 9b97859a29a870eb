// Several answers to one prompt at once. The prompt is computed once; each answer goes on from a
// fork of it, and the engine computes the next token of all of them in one step.
//
//   --prompt, -p        the user turn (required)
//   --count, -c         how many answers (default 4)
//   --max-tokens, -n    tokens of one answer at most (default 64)
//   --temperature, -t   0: always the most probable token, so that all answers are the same
//   --seed, -s          of the first answer, the others take the next numbers (default 1)
//   --one-by-one        the same answers one after the other, to compare
//
// Prints the answers, and returns them as a JSON array.
#include <pie/inferlet.h>

namespace {

using inferlet::Context;
using inferlet::fail;
using inferlet::Json;
using inferlet::Result;
using inferlet::Task;

struct Options {
  std::string prompt;
  int64_t count = 4;
  int64_t max_tokens = 64;
  double temperature = 0.8;
  int64_t seed = 1;
  bool one_by_one = false;

  Result<void> parse(const std::vector<std::string>& arguments) {
    inferlet::ArgumentParser parser;
    parser.option("prompt", 'p', &prompt)
        .option("count", 'c', &count)
        .option("max-tokens", 'n', &max_tokens)
        .option("temperature", 't', &temperature)
        .option("seed", 's', &seed)
        .option("one-by-one", 0, &one_by_one);
    if (auto parsed = parser.parse(arguments); !parsed) return parsed;
    if (prompt.empty()) return fail("[--prompt] got nothing, expected the prompt's text");
    if (count < 1 || count > 256)
      return fail("[--count] got " + std::to_string(count) + ", expected 1 to 256");
    if (max_tokens < 1)
      return fail("[--max-tokens] got " + std::to_string(max_tokens) + ", expected 1 or more");
    return {};
  }
};

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Options options;
  if (auto parsed = options.parse(arguments); !parsed) co_return fail(parsed.error());
  auto root = Context::create();
  if (!root) co_return fail(root.error());
  root->fill_user(options.prompt);
  if (auto opened = root->open_answer(); !opened) co_return fail(opened.error());
  co_await root->flush();  // what a fork shares is what is computed

  const auto stop = inferlet::Stop::max_len(static_cast<size_t>(options.max_tokens)) |
                    inferlet::Stop::end_of_turn(root->model());
  const auto sampler = inferlet::Sampler::multinomial(static_cast<float>(options.temperature));
  std::vector<Context> forks;
  for (int64_t i = 0; i < options.count; ++i) forks.push_back(root->fork());
  std::vector<Task<Result<std::string>>> tasks;  // a task does nothing until it is awaited
  for (Context& fork : forks) {
    const auto seed = static_cast<uint64_t>(options.seed) + tasks.size();
    tasks.push_back(fork.generate(sampler.with_seed(seed), stop));
  }
  std::vector<Result<std::string>> answers;
  if (options.one_by_one) {
    for (auto& task : tasks) answers.push_back(co_await task);
  } else {
    answers = co_await when_all(std::move(tasks));
  }

  Json::Array texts;
  for (const auto& answer : answers) {
    if (!answer) co_return fail(answer.error());
    texts.emplace_back(*answer);
    inferlet::print("[" + std::to_string(texts.size()) + "] " + *answer + "\n");
  }
  co_return Json(std::move(texts)).text();
}
