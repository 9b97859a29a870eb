// Writes on and on, attending to its first tokens and its last ones. The workload
// `attention_sink`.
//
//   --shared, --shared-text, --prompt, --text   what it begins with (unit.h)
//   --sink, --window                            tokens at the beginning, and at the end
//   --tokens                                    to write
#include "unit.h"

using namespace bench;

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Beginning beginning;
  int64_t sink = 4, window = 128, tokens = 1024;
  inferlet::ArgumentParser parser;
  beginning.add_options(parser);
  parser.option("sink", 0, &sink).option("window", 0, &window).option("tokens", 0, &tokens);
  if (auto parsed = parser.parse(arguments); !parsed) co_return fail(parsed.error());

  const auto model = inferlet::default_model();
  if (!model) co_return fail(model.error());
  inferlet::GenerationRequest request;
  request.pending = beginning.tokens();
  request.window = {static_cast<uint32_t>(sink), static_cast<uint32_t>(window)};
  request.tokens_max = static_cast<uint32_t>(tokens);
  Output output;
  const auto end =
      co_await run(*model, std::move(request), beginning.number(0), std::nullopt, output);
  if (!end) co_return fail(end.error());
  if (end->tokens != tokens)
    co_return fail("[--tokens] got " + std::to_string(end->tokens) + " tokens, expected all");
  co_return output.json();
}
