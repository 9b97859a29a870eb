// Writes a file again that it has read, with a change. The workload `speculative_edit`.
//
//   --file      the file, and the beginning of the copy
//   --tokens    to write
#include "unit.h"

using namespace bench;

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Beginning beginning;
  std::string file;
  int64_t tokens = 256;
  inferlet::ArgumentParser parser;
  beginning.add_options(parser);
  parser.option("file", 0, &file).option("tokens", 0, &tokens);
  if (auto parsed = parser.parse(arguments); !parsed) co_return fail(parsed.error());

  auto context = Context::create();
  if (!context) co_return fail(context.error());
  if (auto filled = context->fill(file); !filled) co_return fail(filled.error());
  Output output;
  const auto written = co_await write(*context, tokens, inferlet::Sampler::greedy(), output);
  if (!written) co_return fail(written.error());
  co_return output.json();
}
