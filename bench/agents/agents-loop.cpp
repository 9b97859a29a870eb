// An agent: thinks, calls a tool, reads what it gave, again and again. The workloads `react` and
// `codeact`.
//
//   --shared, --shared-text, --prompt, --text   system text and task (unit.h)
//   --turns, --tokens                           how often, and tokens of a thought with its call
//   --pause-ms, --result                        how long the tool takes, tokens of what it gives
#include "unit.h"

using namespace bench;

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Beginning beginning;
  int64_t turns = 8, tokens = 32, pause_ms = 100, result = 24;
  inferlet::ArgumentParser parser;
  beginning.add_options(parser);
  parser.option("turns", 0, &turns).option("tokens", 0, &tokens);
  parser.option("pause-ms", 0, &pause_ms).option("result", 0, &result);
  if (auto parsed = parser.parse(arguments); !parsed) co_return fail(parsed.error());

  auto context = beginning.read();
  if (!context) co_return fail(context.error());
  Output output;
  for (int64_t turn = 1; turn <= turns; ++turn) {
    const auto written = co_await write(*context, tokens, drawn(beginning.number(turn)), output);
    if (!written) co_return fail(written.error());
    co_await inferlet::sleep(std::chrono::milliseconds(pause_ms));
    context->fill_tokens(beginning.text_of(turn, result));
  }
  co_return output.json();
}
