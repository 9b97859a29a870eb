// Recursion of thought: a question is divided into two, each answered in a context of its own in
// the same way, and the answers are put together. The workload `recursion_of_thought`.
//
//   --shared, --shared-text, --prompt, --text   instructions in common, and the question (unit.h)
//   --depth                                     of the divisions
//   --ask                                       tokens of what is asked before anything is written
//   --tokens                                    of a division, an answer, an answer put together
#include "unit.h"

using namespace bench;

namespace {

struct Recursion {
  Beginning beginning;
  int64_t depth = 3, ask = 8, tokens = 32;
  Output output;

  /// The answer to `question`, which is node `index` of a binary tree.
  Task<Result<Tokens>> solve(const Context& instructions, Tokens question, int64_t index,
                             int64_t level) {
    Context context = instructions.fork();
    context.fill_tokens(question);
    context.fill_tokens(beginning.text_of(2 * index, ask));
    auto written = co_await write(context, tokens, drawn(beginning.number(2 * index)), output);
    if (!written || level == depth) co_return written;
    std::vector<Task<Result<Tokens>>> parts;
    parts.push_back(solve(instructions, *written, 2 * index, level + 1));
    parts.push_back(solve(instructions, *written, 2 * index + 1, level + 1));
    for (const auto& answer : co_await when_all(std::move(parts))) {
      if (!answer) co_return answer;
      context.fill_tokens(*answer);
    }
    context.fill_tokens(beginning.text_of(2 * index + 1, ask));
    co_return co_await write(context, tokens, drawn(beginning.number(2 * index + 1)), output);
  }
};

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Recursion recursion;
  inferlet::ArgumentParser parser;
  recursion.beginning.add_options(parser);
  parser.option("depth", 0, &recursion.depth).option("ask", 0, &recursion.ask);
  parser.option("tokens", 0, &recursion.tokens);
  if (auto parsed = parser.parse(arguments); !parsed) co_return fail(parsed.error());

  const Beginning& beginning = recursion.beginning;
  auto instructions = Context::create();
  if (!instructions) co_return fail(instructions.error());
  instructions->fill_tokens(
      text(static_cast<uint64_t>(beginning.shared_text), static_cast<size_t>(beginning.shared)));
  co_await instructions->flush();
  Tokens question = beginning.text_of(0, beginning.prompt);
  const auto answer = co_await recursion.solve(*instructions, std::move(question), 1, 0);
  if (!answer) co_return fail(answer.error());
  co_return recursion.output.json();
}
