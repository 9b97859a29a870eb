// A long answer in the time of a short one: the model writes an outline first, then all of its
// points at once, each in a fork of the conversation so far.
//
//   --prompt, -p        the question (required)
//   --points, -c        points of the outline (default 4)
//   --max-tokens, -n    tokens of one point at most (default 48)
//   --one-by-one        the same points one after the other, to compare
//
// Returns JSON: `outline`, and what was written on each of its `points`.
#include <pie/inferlet.h>

using namespace inferlet;

namespace {

/// The outline's form: a number and a short title on each line.
std::string form_of(int64_t points) {
  std::string form;
  for (int64_t i = 1; i <= points; ++i)
    form += std::to_string(i) + R"(\. [A-Z][A-Za-z ,'-]{2,40}\n)";
  return form;
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt;
  int64_t count = 4, max_tokens = 48;
  bool one_by_one = false;
  ArgumentParser parser;
  parser.text("prompt", 'p', &prompt)
      .number("points", 'c', &count, 1, 32)
      .number("max-tokens", 'n', &max_tokens, 1)
      .option("one-by-one", 0, &one_by_one);
  co_await ok(parser.parse(arguments));

  Context root = co_await ok(Context::create());
  root.fill_user(prompt + "\nFirst give an outline of " + std::to_string(count) + " short titles.");
  const Grammar form = co_await ok(Grammar::regex(root.model(), form_of(count)));
  Matcher matcher(form);
  const auto outline =
      co_await ok(root.generate(Sampler::greedy(), Stop::max_len(512), {.matcher = &matcher}));
  co_await ok(root.flush());  // computed once, for all points

  const auto stop =
      Stop::max_len(static_cast<size_t>(max_tokens)) | Stop::end_of_turn(root.model());
  std::vector<Task<Result<std::string>>> tasks;
  for (int64_t i = 1; i <= count; ++i)
    tasks.push_back(ask(root.fork(),
                        "Write one or two sentences on point " + std::to_string(i) + " alone.",
                        Sampler::greedy(), stop));
  std::vector<Result<std::string>> written;
  if (one_by_one) {
    for (auto& task : tasks) written.push_back(co_await task);
  } else {
    written = co_await when_all(std::move(tasks));
  }
  Json::Array points;
  for (std::string& text : co_await ok(std::move(written))) points.emplace_back(std::move(text));
  co_return Json(Json::Object{{"outline", Json(outline.text)}, {"points", Json(std::move(points))}})
      .text();
}
