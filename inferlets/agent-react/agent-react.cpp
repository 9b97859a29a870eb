// An agent that reasons and acts: the model calls tools, reads their results, and goes on until it
// answers. The conversation stays computed from turn to turn.
//
//   --question, -q      what it is asked (required)
//   --model, -m         one that calls tools (default: the first one)
//   --turns, -t         calls of the model at most (default 6)
//   --max-tokens, -n    tokens of one turn at most (default 160)
//   --must-act          the first turn has to call a tool
//
// Says on stdout what it does, a line each: `call NAME ARGUMENTS`, `result TEXT`. Returns the
// answer.
#include <pie/inferlet.h>

#include <map>

using namespace inferlet;

namespace {

struct Place {
  std::string city;
  static constexpr auto kFields = std::tuple(Field{"city", &Place::city, "Name of the city"});
};
struct Weather {
  std::string city, sky;
  int64_t celsius;
  static constexpr auto kFields =
      std::tuple(Field{"city", &Weather::city}, Field{"sky", &Weather::sky},
                 Field{"celsius", &Weather::celsius});
};
struct Pair {
  double a, b;
  static constexpr auto kFields = std::tuple(Field{"a", &Pair::a}, Field{"b", &Pair::b});
};

/// What the agent can do. A tool may be a coroutine that asks somebody (pie/http.h).
Tools toolbox() {
  const std::map<std::string, Weather> known = {{"Paris", {"Paris", "sunny", 31}},
                                                {"Oslo", {"Oslo", "snow", -4}},
                                                {"Tokyo", {"Tokyo", "rain", 18}}};
  Tools tools;
  tools.add("get_weather", "Get the current weather in a city.",
            [known](Place place) -> Result<Weather> {
              const auto found = known.find(place.city);
              if (found != known.end()) return found->second;
              return fail("nothing is known of " + place.city + ", but of Paris, Oslo and Tokyo");
            });
  tools.add("add", "Add two numbers.", [](Pair numbers) { return numbers.a + numbers.b; });
  tools.add("multiply", "Multiply two numbers.",
            [](Pair numbers) { return numbers.a * numbers.b; });
  return tools;
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string question, model;
  int64_t turns = 6, max_tokens = 160;
  bool must_act = false;
  ArgumentParser parser;
  parser.text("question", 'q', &question)
      .option("model", 'm', &model)
      .number("turns", 't', &turns, 1, 64)
      .number("max-tokens", 'n', &max_tokens, 1)
      .option("must-act", 0, &must_act);
  co_await ok(parser.parse(arguments));

  const Tools tools = toolbox();
  Context context = co_await ok(model.empty() ? Context::create() : Context::create(model));
  Conversation talk;
  talk.messages = {Message::system("You are a helpful assistant. Use tools where they help."),
                   Message::user(question)};
  talk.tools = tools.list();
  if (must_act) talk.tool_choice = ToolChoice::kRequired;
  const auto stop = Stop::max_len(static_cast<size_t>(max_tokens));
  for (int64_t turn = 0; turn < turns; ++turn) {
    const Answer said = co_await ok(answer(context, talk, Sampler::greedy(), stop));
    if (said.tool_calls.empty()) co_return said.content;
    talk.tool_choice = ToolChoice::kAuto;
    talk.messages.push_back(said.message());
    for (const ToolCall& call : said.tool_calls)
      print("call " + call.name + " " + call.arguments + "\n");
    for (Message& result : co_await tools.answer(said.tool_calls)) {
      print("result " + result.content + "\n");
      talk.messages.push_back(std::move(result));
    }
  }
  co_return fail("[--turns] got " + std::to_string(turns) + ", expected enough for an answer");
}
