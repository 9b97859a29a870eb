// Graph of thought: a problem is solved in parts, whose results are merged in pairs until one is
// left. The workload `graph_of_thought`.
//
//   --shared, --shared-text, --prompt, --text   the problem (unit.h)
//   --parts                                     a power of two
//   --ask                                       tokens of what is asked before a thought
//   --tokens                                    of a thought
#include "unit.h"

using namespace bench;

namespace {

struct Graph {
  Beginning beginning;
  int64_t parts = 4, ask = 8, tokens = 48;
  Output output;

  /// What comes of parts `first` to `first + count - 1`.
  Task<Result<Tokens>> solve(const Context& problem, int64_t first, int64_t count) {
    Context context = problem.fork();
    if (count > 1) {
      std::vector<Task<Result<Tokens>>> halves;
      halves.push_back(solve(problem, first, count / 2));
      halves.push_back(solve(problem, first + count / 2, count / 2));
      for (const auto& half : co_await when_all(std::move(halves))) {
        if (!half) co_return fail(half.error());
        context.fill_tokens(*half);
      }
    }
    const int64_t index = first * parts + count;  // none has another's
    context.fill_tokens(beginning.text_of(index, ask));
    co_return co_await write(context, tokens, drawn(beginning.number(index)), output);
  }
};

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Graph graph;
  inferlet::ArgumentParser parser;
  graph.beginning.add_options(parser);
  parser.option("parts", 0, &graph.parts).option("ask", 0, &graph.ask);
  parser.option("tokens", 0, &graph.tokens);
  if (auto parsed = parser.parse(arguments); !parsed) co_return fail(parsed.error());

  auto problem = graph.beginning.read();
  if (!problem) co_return fail(problem.error());
  co_await problem->flush();
  const auto result = co_await graph.solve(*problem, 0, graph.parts);
  if (!result) co_return fail(result.error());
  co_return graph.output.json();
}
