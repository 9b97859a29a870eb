// A function call under a JSON Schema. The workload `json_schema`.
//
//   --shared, --shared-text, --prompt, --text   what it reads (unit.h)
//   --schema                                    that the call follows
//   --limit                                     tokens at most; fails when the call needs more
#include "unit.h"

using namespace bench;
using inferlet::GenerationEnd;

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Beginning beginning;
  int64_t limit = 256;
  std::string schema;
  inferlet::ArgumentParser parser;
  beginning.add_options(parser);
  parser.option("schema", 0, &schema).option("limit", 0, &limit);
  if (auto parsed = parser.parse(arguments); !parsed) co_return fail(parsed.error());

  const auto model = inferlet::default_model();
  if (!model) co_return fail(model.error());
  const auto grammar = inferlet::Grammar::json_schema(*model, schema);
  if (!grammar) co_return fail(grammar.error());
  inferlet::GenerationRequest request;
  request.pending = beginning.tokens();
  request.tokens_max = static_cast<uint32_t>(limit);
  Output output;
  const auto end = co_await run(*model, std::move(request), beginning.number(0),
                                inferlet::Matcher(*grammar), output);
  if (!end) co_return fail(end.error());
  if (end->reason != GenerationEnd::Reason::kComplete &&
      end->reason != GenerationEnd::Reason::kStopToken)
    co_return fail("[--limit] got " + std::to_string(limit) + ", expected enough for a whole call");
  co_return output.json();
}
