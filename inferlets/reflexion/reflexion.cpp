// Tries, is told what was wrong, says in its own words what to do better, and tries again with all
// that it has said so far in front of it.
//
//   --task, -p          what to write (required)
//   --must, -m          words that have to be in it, with commas (required)
//   --attempts, -a      at most (default 4)
//   --max-tokens, -n    tokens of one attempt at most (default 48)
//   --seed, -s          the same attempts again (default 1)
//
// The program is the judge: an attempt is good when it has every word. Returns JSON: the attempts
// (`text`, `missing`, and the `reflection` on it), and whether the last one is `good`.
#include <pie/inferlet.h>

#include <ranges>

using namespace inferlet;

namespace {

struct Attempt {
  std::string text;
  std::vector<std::string> missing;
  std::optional<std::string> reflection;
  static constexpr auto kFields =
      std::tuple(Field{"text", &Attempt::text}, Field{"missing", &Attempt::missing},
                 Field{"reflection", &Attempt::reflection});
};

std::vector<std::string> missing(const std::string& text, const std::string& must) {
  std::vector<std::string> words;
  for (const auto part : must | std::views::split(',')) {
    std::string word(std::string_view{part});
    if (!text.contains(word)) words.push_back(std::move(word));
  }
  return words;
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string task, must;
  int64_t attempts_max = 4, max_tokens = 48, seed = 1;
  ArgumentParser parser;
  parser.text("task", 'p', &task)
      .text("must", 'm', &must)
      .number("attempts", 'a', &attempts_max, 1, 64)
      .number("max-tokens", 'n', &max_tokens, 1)
      .option("seed", 's', &seed);
  co_await ok(parser.parse(arguments));

  Context root = co_await ok(Context::create());
  root.fill_system("You write short, plain sentences.");
  const auto stop =
      Stop::max_len(static_cast<size_t>(max_tokens)) | Stop::end_of_turn(root.model());
  const auto sampler = Sampler::top_p(0.7F, 0.95F);
  std::vector<Attempt> attempts;
  std::string memory;
  for (bool is_good = false; !is_good && std::cmp_less(attempts.size(), attempts_max);) {
    // Every attempt begins anew: of the earlier ones it sees what was learned.
    Context context = root.fork();
    const auto own = sampler.with_seed(static_cast<uint64_t>(seed++));
    Attempt attempt;
    attempt.text = co_await ok(context.ask(task + memory, own, stop));
    attempt.missing = missing(attempt.text, must);
    is_good = attempt.missing.empty();
    if (!is_good) {
      std::string words;
      for (const std::string& word : attempt.missing) words += " \"" + word + "\"";
      const std::string told = "These words are missing:" + words + ".";
      attempt.reflection = co_await ok(
          context.ask(told + " Say in one sentence what you will do better.", own, stop));
      memory += "\n" + told + " " + *attempt.reflection;
    }
    attempts.push_back(std::move(attempt));
  }
  co_return Json(
      Json::Object{{"attempts", to_json(attempts)}, {"good", attempts.back().missing.empty()}})
      .text();
}
