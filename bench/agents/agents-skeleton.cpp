// Skeleton of thought: an outline first, then all of its points at once. The workload
// `skeleton_of_thought`.
//
//   --shared, --shared-text, --prompt, --text   the question (unit.h)
//   --outline                                   tokens of the outline
//   --points, --ask, --tokens                   how many, tokens of what is asked of a point, of a
//   point
#include "unit.h"

using namespace bench;

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Beginning beginning;
  int64_t outline = 48, points = 5, ask = 8, tokens = 48;
  inferlet::ArgumentParser parser;
  beginning.add_options(parser);
  parser.option("outline", 0, &outline).option("points", 0, &points);
  parser.option("ask", 0, &ask).option("tokens", 0, &tokens);
  if (auto parsed = parser.parse(arguments); !parsed) co_return fail(parsed.error());

  auto context = beginning.read();
  if (!context) co_return fail(context.error());
  Output output;
  if (const auto written = co_await write(*context, outline, drawn(beginning.number(0)), output);
      !written)
    co_return fail(written.error());
  std::vector<Context> forks;
  for (int64_t i = 1; i <= points; ++i) {
    forks.push_back(context->fork());
    forks.back().fill_tokens(beginning.text_of(i, ask));
  }
  std::vector<Task<Result<Tokens>>> tasks;
  for (Context& fork : forks) {
    const auto index = static_cast<int64_t>(tasks.size()) + 1;
    tasks.push_back(write(fork, tokens, drawn(beginning.number(index)), output));
  }
  for (const auto& point : co_await when_all(std::move(tasks)))
    if (!point) co_return fail(point.error());
  co_return output.json();
}
