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
#include <pie/inferlet.h>

using namespace inferlet;

namespace {

Result<Grammar> grammar_of(const Model& model, const std::string& schema, const std::string& regex,
                           const std::string& gbnf) {
  const int given = int{!schema.empty()} + int{!regex.empty()} + int{!gbnf.empty()};
  if (given != 1)
    return fail("[grammar] got " + std::to_string(given) +
                ", expected one of --schema, --regex and --grammar");
  if (!schema.empty()) return Grammar::json_schema(model, schema);
  if (!regex.empty()) return Grammar::regex(model, regex);
  return Grammar::gbnf(model, gbnf);
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt, schema, regex, gbnf;
  int64_t max_tokens = 512, seed = 1;
  double temperature = 1.0;
  ArgumentParser parser;
  parser.text("prompt", 'p', &prompt)
      .option("schema", 0, &schema)
      .option("regex", 0, &regex)
      .option("grammar", 0, &gbnf)
      .number("max-tokens", 'n', &max_tokens, 1)
      .option("temperature", 't', &temperature)
      .option("seed", 's', &seed);
  co_await ok(parser.parse(arguments));

  Context context = co_await ok(Context::create());
  Matcher matcher(co_await ok(grammar_of(context.model(), schema, regex, gbnf)));
  context.fill_user(prompt);
  const auto sampler =
      Sampler::multinomial(static_cast<float>(temperature)).with_seed(static_cast<uint64_t>(seed));
  const auto said =
      co_await ok(context.generate(sampler, Stop::max_len(static_cast<size_t>(max_tokens)),
                                   {.on_text = print, .matcher = &matcher}));
  print_error("[tokens] " + std::to_string(said.tokens.size()) + " in " +
              std::to_string(said.passes) + " passes\n");
  if (!matcher.is_complete())
    co_return fail("[--max-tokens] got " + std::to_string(max_tokens) +
                   ", expected enough for a whole answer; it begins: " + said.text);
  co_return said.text;
}
