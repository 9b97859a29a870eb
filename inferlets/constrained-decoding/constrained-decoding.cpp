// An answer that has to follow a grammar. The engine goes from token to token by itself and lets
// the model choose among the tokens that the grammar allows; tokens without an alternative are not
// waited for.
//
//   --prompt, -p        the user turn (required)
//   --schema            a JSON Schema: the answer is JSON that is valid against it
//   --regex             a regular expression that matches the whole answer
//   --grammar           a grammar in GBNF, from `root`
//   --max-tokens, -n    tokens of the answer at most (default 512); fails when it needs more
//   --temperature, -t   0: always the most probable token that is allowed (default 1)
//   --seed, -s          the same answer again (default 1)
//
// Streams the answer on stdout and returns it; says on stderr how many passes of the model it took.
// Strings and lists without a bound (`maxLength`, `maxItems`) may go on for long.
#include <pie/generation.h>
#include <pie/inferlet.h>

#include <algorithm>

namespace {

using inferlet::fail;
using inferlet::Generation;
using inferlet::GenerationEnd;
using inferlet::Grammar;
using inferlet::Result;

struct Options {
  std::string prompt, schema, regex, gbnf;
  int64_t max_tokens = 512;
  double temperature = 1.0;
  int64_t seed = 1;

  Result<void> parse(const std::vector<std::string>& arguments) {
    inferlet::ArgumentParser parser;
    parser.option("prompt", 'p', &prompt)
        .option("schema", 0, &schema)
        .option("regex", 0, &regex)
        .option("grammar", 0, &gbnf)
        .option("max-tokens", 'n', &max_tokens)
        .option("temperature", 't', &temperature)
        .option("seed", 's', &seed);
    if (auto parsed = parser.parse(arguments); !parsed) return parsed;
    if (prompt.empty()) return fail("[--prompt] got nothing, expected the prompt's text");
    if (max_tokens < 1)
      return fail("[--max-tokens] got " + std::to_string(max_tokens) + ", expected 1 or more");
    const int given = int{!schema.empty()} + int{!regex.empty()} + int{!gbnf.empty()};
    if (given != 1)
      return fail("[grammar] got " + std::to_string(given) +
                  ", expected one of --schema, --regex and --grammar");
    return {};
  }
  Result<Grammar> grammar(const inferlet::Model& model) const {
    if (!schema.empty()) return Grammar::json_schema(model, schema);
    if (!regex.empty()) return Grammar::regex(model, regex);
    return Grammar::gbnf(model, gbnf);
  }
};

}  // namespace

Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  Options options;
  if (auto parsed = options.parse(arguments); !parsed) return fail(parsed.error());
  auto prompt = inferlet::Context::create();  // writes the turn; computes nothing
  if (!prompt) return fail(prompt.error());
  const inferlet::Model& model = prompt->model();
  const auto grammar = options.grammar(model);
  if (!grammar) return fail(grammar.error());
  prompt->fill_user(options.prompt);
  if (auto opened = prompt->open_answer(); !opened) return fail(opened.error());

  inferlet::GenerationRequest request;
  request.pending = prompt->tokens();
  request.tokens_max = static_cast<uint32_t>(
      std::min<size_t>(static_cast<size_t>(options.max_tokens), prompt->room()));
  request.sampling.temperature = static_cast<float>(options.temperature);
  request.sampling.seed = static_cast<uint64_t>(options.seed);
  const uint32_t page_size = model.kv_page_size();
  const size_t page_count =
      (request.pending.size() + request.tokens_max + page_size - 1) / page_size;
  const auto pool = std::make_shared<inferlet::KvPages>(model.create_queue(), page_size);
  const auto pages = pool->take(page_count);
  for (const auto& page : pages) request.pages.push_back(page->number());

  auto generation = Generation::start(pool->queue(), request, inferlet::Matcher(*grammar));
  if (!generation) return fail(generation.error());
  std::string answer;
  while (const auto piece = generation->next()) {
    inferlet::print(piece->text);
    answer += piece->text;
  }
  const GenerationEnd end = generation->end().value_or(GenerationEnd{});
  if (end.reason == GenerationEnd::Reason::kFailed) return fail("[model] " + end.message);
  inferlet::print_error("[tokens] " + std::to_string(end.tokens) + " in " +
                        std::to_string(end.passes) + " passes\n");
  if (end.reason != GenerationEnd::Reason::kComplete &&
      end.reason != GenerationEnd::Reason::kStopToken)
    return fail("[--max-tokens] got " + std::to_string(request.tokens_max) +
                ", expected enough for a whole answer; it begins: " + answer);
  return answer;
}
