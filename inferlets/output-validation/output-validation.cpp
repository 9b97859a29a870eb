// An answer that holds to more than a grammar can say: a JSON Schema gives it its form, a function
// of the program looks at what it means. What is wrong the model is told, to repair it; where that
// does not help it begins anew, until the answer is right.
//
//   --prompt, -p        what the table is for (required)
//   --attempts, -a      at most (default 16)
//   --repairs, -r       of one answer, before another one is begun (default 1)
//   --temperature, -t   of the sampling (default 1)
//   --seed, -s          the same attempts again (default 1)
//
// The answer is a reservation. Says on stderr what was wrong with each attempt that was not taken;
// returns the one that was, as JSON, and fails when there is none.
#include <pie/inferlet.h>

using namespace inferlet;

namespace {

struct Reservation {
  int64_t from_hour, to_hour;
  int64_t guests, tables;
  static constexpr auto kFields = std::tuple(
      Field{"from_hour", &Reservation::from_hour}, Field{"to_hour", &Reservation::to_hour},
      Field{"guests", &Reservation::guests}, Field{"tables", &Reservation::tables});
};

/// What a schema can say: each number by itself.
constexpr std::string_view kSchema = R"({"type": "object", "properties": {
  "from_hour": {"type": "integer", "minimum": 8, "maximum": 22},
  "to_hour": {"type": "integer", "minimum": 8, "maximum": 23},
  "guests": {"type": "integer", "minimum": 1, "maximum": 40},
  "tables": {"type": "integer", "minimum": 1, "maximum": 12}},
  "required": ["from_hour", "to_hour", "guests", "tables"], "additionalProperties": false})";

/// What it cannot: how they belong together.
Result<void> check(const Reservation& of) {
  const auto text = [](int64_t number) { return std::to_string(number); };
  if (of.to_hour <= of.from_hour)
    return fail("[to_hour] got " + text(of.to_hour) + ", expected more than from_hour, " +
                text(of.from_hour));
  if (of.tables * 4 < of.guests)
    return fail("[tables] got " + text(of.tables) + ", expected enough for " + text(of.guests) +
                " guests, 4 at a table");
  return {};
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt;
  int64_t attempts = 16, repairs = 1, seed = 1;
  double temperature = 1.0;
  ArgumentParser parser;
  parser.text("prompt", 'p', &prompt)
      .number("attempts", 'a', &attempts, 1, 64)
      .number("repairs", 'r', &repairs, 0, 64)
      .option("temperature", 't', &temperature)
      .option("seed", 's', &seed);
  co_await ok(parser.parse(arguments));

  Context root = co_await ok(Context::create());
  const Grammar grammar = co_await ok(Grammar::json_schema(root.model(), kSchema));
  root.fill_user(prompt + "\nAnswer with a reservation in JSON.");
  Context context = root.fork();
  const auto sampler = Sampler::multinomial(static_cast<float>(temperature));
  for (int64_t i = 0; i < attempts; ++i) {
    Matcher matcher(grammar);
    const auto said =
        co_await ok(context.generate(sampler.with_seed(static_cast<uint64_t>(seed + i)),
                                     Stop::max_len(256), {.matcher = &matcher}));
    if (!matcher.is_complete()) co_return fail("[answer] got no end within 256 tokens");
    const Json json = co_await ok(Json::parse(said.text));
    const auto checked = check(co_await ok(from_json<Reservation>(json, "reservation")));
    if (checked) co_return json.text();
    print_error("attempt " + std::to_string(i + 1) + ": " + checked.error() + "\n");
    if ((i + 1) % (repairs + 1) == 0) {
      context = root.fork();
    } else {
      context.fill_user("That is wrong: " + checked.error() + ". Correct it.");
    }
  }
  co_return fail("[--attempts] got " + std::to_string(attempts) +
                 " answers that are wrong, expected one that is right");
}
