// Beam search. The workload `beam`.
//
//   --shared, --shared-text, --prompt, --text   what it reads (unit.h)
//   --width, --tokens                           beams that are kept, and tokens of the answer
#include "unit.h"

using namespace bench;

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Beginning beginning;
  int64_t width = 4, tokens = 48;
  inferlet::ArgumentParser parser;
  beginning.add_options(parser);
  parser.option("width", 0, &width).option("tokens", 0, &tokens);
  if (auto parsed = parser.parse(arguments); !parsed) co_return fail(parsed.error());

  auto context = beginning.read();
  if (!context) co_return fail(context.error());
  co_await context->flush();  // what a fork shares is what is computed
  const auto stop = inferlet::Stop::max_len(static_cast<size_t>(tokens));
  const auto best = co_await inferlet::beam_search(*context, static_cast<size_t>(width), stop);
  if (!best) co_return fail(best.error());
  Output output;
  output.add(best->text, best->tokens.size());
  co_return output.json();
}
