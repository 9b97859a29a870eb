// Sorts digits as a graph of thoughts: the list is cut into parts, the parts are sorted at once,
// and sorted parts are merged in pairs until one is left. Each thought is tried several times; the
// program counts what is wrong, and the best try goes on.
//
//   --digits, -d   digits to sort (required), at least 2
//   --parts, -c    parts to begin with: 1, 2, 4, 8 (default 4)
//   --tries, -k    how often each thought is tried (default 4)
//   --seed, -s     the same tries again (default 1)
//
// A regular expression holds every try to a list of the right length. Returns JSON: `result`,
// `errors`, and every thought (`from`, `tries`, `best`).
#include <pie/inferlet.h>

#include <algorithm>

using namespace inferlet;

namespace {

/// Digits that are missing or too many, and neighbours in the wrong order.
int64_t errors_of(const std::string& got, const std::string& digits) {
  int64_t errors = 0;
  for (char digit = '0'; digit <= '9'; ++digit)
    errors += std::abs(std::ranges::count(got, digit) - std::ranges::count(digits, digit));
  for (size_t i = 1; i < got.size(); ++i) errors += got[i - 1] > got[i] ? 1 : 0;
  return errors;
}

std::string spaced(const std::string& digits) {
  std::string text;
  for (const char digit : digits) text += std::string(text.empty() ? "" : " ") + digit;
  return text;
}

/// One try: the digits of `from` sorted, as the model has it.
Task<Result<std::string>> tried(Context context, std::string from, uint64_t seed) {
  const std::string form = "([0-9] ){" + std::to_string(from.size() - 1) + "}[0-9]\\n";
  const Grammar grammar = co_await ok(Grammar::regex(context.model(), form));
  Matcher matcher(grammar);
  co_await ok(context.fill("Digits: " + spaced(from) + "\nSorted: "));
  const auto answer =
      co_await ok(context.generate(Sampler::multinomial(0.7F).with_seed(seed),
                                   Stop::max_len(4 * from.size() + 4), {.matcher = &matcher}));
  std::string digits;
  std::ranges::copy_if(answer.text, std::back_inserter(digits),
                       [](char one) { return one >= '0' && one <= '9'; });
  co_return digits;
}

/// Sorts each of these, all tries of all at once.
Task<Result<std::vector<std::string>>> sorted(Context& root, const std::vector<std::string>& lists,
                                              int64_t tries, uint64_t& seed, Json::Array& log) {
  std::vector<Task<Result<std::string>>> tasks;
  for (const std::string& list : lists)
    for (int64_t i = 0; i < tries; ++i) tasks.push_back(tried(root.fork(), list, seed++));
  const auto texts = co_await ok(co_await when_all(std::move(tasks)));
  std::vector<std::string> best;
  for (size_t i = 0; i < lists.size(); ++i) {
    const auto own =
        std::span(texts).subspan(i * static_cast<size_t>(tries)).first(static_cast<size_t>(tries));
    best.push_back(*std::ranges::min_element(
        own, {}, [&](const std::string& one) { return errors_of(one, lists[i]); }));
    log.emplace_back(Json::Object{{"from", lists[i]},
                                  {"tries", to_json(std::vector(own.begin(), own.end()))},
                                  {"best", best.back()}});
  }
  co_return best;
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string digits;
  int64_t parts = 4, tries = 4, begin = 1;
  ArgumentParser parser;
  parser.text("digits", 'd', &digits)
      .number("parts", 'c', &parts, 1, 8)
      .number("tries", 'k', &tries, 1, 32)
      .option("seed", 's', &begin);
  co_await ok(parser.parse(arguments));
  if (digits.find_first_not_of("0123456789") != std::string::npos || digits.size() > 64 ||
      digits.size() < 2 * static_cast<size_t>(parts))
    co_return fail("[--digits] got '" + digits + "', expected 2 to 64 digits, two for each part");

  Context root = co_await ok(Context::create());
  co_await ok(
      root.fill("Digits: 7 2 9 4\nSorted: 2 4 7 9\nDigits: 5 1 1 8 3\nSorted: 1 1 3 5 8\n"
                "Digits: 0 6\nSorted: 0 6\n"));
  co_await ok(root.flush());
  auto seed = static_cast<uint64_t>(begin);
  Json::Array log;
  std::vector<std::string> lists;
  const size_t size = digits.size() / static_cast<size_t>(parts);
  for (int64_t i = 0; i < parts; ++i)
    lists.push_back(i + 1 == parts ? digits.substr(static_cast<size_t>(i) * size)
                                   : digits.substr(static_cast<size_t>(i) * size, size));
  for (;;) {
    lists = co_await ok(sorted(root, lists, tries, seed, log));
    if (lists.size() == 1) break;
    std::vector<std::string> pairs;  // of an odd number the last one waits
    for (size_t i = 0; i < lists.size(); i += 2)
      pairs.push_back(i + 1 < lists.size() ? lists[i] + lists[i + 1] : lists[i]);
    lists = std::move(pairs);
  }
  co_return Json(Json::Object{{"result", lists.front()},
                              {"errors", errors_of(lists.front(), digits)},
                              {"thoughts", std::move(log)}})
      .text();
}
