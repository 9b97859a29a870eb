// Goes on with a text: the workloads `completion` and `prefix_caching`.
//
//   --shared, --shared-text, --prompt, --text   what it reads (unit.h)
//   --tokens                                    to write
#include "unit.h"

using namespace bench;

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Beginning beginning;
  int64_t tokens = 64;
  inferlet::ArgumentParser parser;
  beginning.add_options(parser);
  parser.option("tokens", 0, &tokens);
  if (auto parsed = parser.parse(arguments); !parsed) co_return fail(parsed.error());

  auto context = beginning.read();
  if (!context) co_return fail(context.error());
  Output output;
  const auto written = co_await write(*context, tokens, drawn(beginning.number(0)), output);
  if (!written) co_return fail(written.error());
  co_return output.json();
}
