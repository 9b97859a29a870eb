// Divides a problem until its parts are small enough for the model: a sum of many numbers becomes
// two sums of half as many, and so on down to two numbers. Each part is a context of its own, which
// gives back its answer and nothing else, so that no context grows with the problem.
//
//   --numbers, -x    whole numbers of 0 to 999 with commas (required)
//   --model, -m      which model adds (default: the first one)
//   --direct         ask for the whole sum in one question, to compare
//
// Parts that do not need each other are asked at once. Returns JSON: `sum`, `questions` that were
// asked, and `tokens` of the longest context.
#include <pie/inferlet.h>

#include <algorithm>
#include <ranges>

using namespace inferlet;

namespace {

struct Figures {
  int64_t questions = 0;
  size_t tokens = 0;  ///< of the longest context
};

/// The sum as the model says it.
Task<Result<int64_t>> added(Context context, const Grammar& number, std::vector<int64_t> numbers,
                            Figures& figures) {
  std::string terms;
  for (const int64_t one : numbers) terms += (terms.empty() ? "" : " + ") + std::to_string(one);
  co_await ok(context.fill(terms + " = "));
  Matcher matcher(number);
  const auto said =
      co_await ok(context.generate(Sampler::greedy(), Stop::max_len(12), {.matcher = &matcher}));
  ++figures.questions;
  figures.tokens = std::max(figures.tokens, context.size());
  co_return std::strtoll(said.text.c_str(), nullptr, 10);
}

Task<Result<int64_t>> solved(const Context& root, const Grammar& number,
                             std::vector<int64_t> numbers, Figures& figures) {
  if (numbers.size() == 1) co_return numbers.front();
  if (numbers.size() > 2) {
    const auto middle = numbers.begin() + static_cast<ptrdiff_t>(numbers.size() / 2);
    std::vector<Task<Result<int64_t>>> halves;
    halves.push_back(solved(root, number, {numbers.begin(), middle}, figures));
    halves.push_back(solved(root, number, {middle, numbers.end()}, figures));
    numbers = co_await ok(co_await when_all(std::move(halves)));
  }
  co_return co_await ok(added(root.fork(), number, numbers, figures));
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string list, model;
  bool is_direct = false;
  ArgumentParser parser;
  parser.text("numbers", 'x', &list).option("model", 'm', &model).option("direct", 0, &is_direct);
  co_await ok(parser.parse(arguments));
  std::vector<int64_t> numbers;
  for (const auto part : list | std::views::split(',')) {
    const std::string text(std::string_view{part});
    char* end = nullptr;
    numbers.push_back(std::strtoll(text.c_str(), &end, 10));
    if (text.empty() || *end != '\0' || numbers.back() < 0 || numbers.back() > 999)
      co_return fail("[--numbers] got '" + text + "', expected whole numbers of 0 to 999");
  }

  Context root = co_await ok(model.empty() ? Context::create() : Context::create(model));
  const Grammar number = co_await ok(Grammar::regex(root.model(), "[0-9]{1,6}\\n"));
  co_await ok(root.fill("12 + 30 = 42\n7 + 5 = 12\n120 + 45 = 165\n88 + 17 = 105\n"));
  co_await ok(root.flush());
  Figures figures;
  const int64_t sum = co_await ok(is_direct ? added(root.fork(), number, numbers, figures)
                                            : solved(root, number, numbers, figures));
  co_return Json(Json::Object{{"sum", sum},
                              {"questions", figures.questions},
                              {"tokens", static_cast<int64_t>(figures.tokens)}})
      .text();
}
