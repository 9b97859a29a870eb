// Asks a model a question with two tools, reads its answer while it is generated, gives it the
// results of its calls, and says each step in a line: `call NAME ARGUMENTS`, `told ARGUMENTS` (what
// came piece by piece), `answer TEXT`. Arguments: the model's name, the question, `required` for a
// call in any case.
#include <pie/inferlet.h>

#include <set>

namespace {

using inferlet::AnswerParser;
using inferlet::Context;
using inferlet::Result;

struct Told {
  std::string text;
  std::vector<std::string> arguments;

  void take(const std::vector<inferlet::AnswerDelta>& deltas) {
    for (const inferlet::AnswerDelta& delta : deltas) {
      if (const auto* piece = std::get_if<inferlet::TextDelta>(&delta)) text += piece->text;
      if (std::holds_alternative<inferlet::CallDelta>(delta)) arguments.emplace_back();
      if (const auto* piece = std::get_if<inferlet::ArgumentsDelta>(&delta))
        arguments.at(piece->index) += piece->text;
    }
  }
};

/// The greedy answer to a prompt, and what was told of it on the way.
Result<inferlet::Answer> answered(const std::string& model_name,
                                  const inferlet::RenderedPrompt& prompt, Told& told) {
  Result<Context> context = Context::create(model_name);
  if (!context) return inferlet::fail(context.error());
  if (auto filled = context->fill(prompt.text()); !filled) return inferlet::fail(filled.error());
  AnswerParser parser = prompt.parser();
  std::string failure;
  const auto text = context->generate(
      inferlet::Sampler::greedy(),
      inferlet::Stop::max_len(160) | inferlet::Stop::end_of_turn(context->model()),
      [&](std::string_view piece) {
        const auto deltas = parser.feed(piece);
        if (deltas)
          told.take(*deltas);
        else
          failure = deltas.error();
      });
  if (!text) return inferlet::fail(text.error());
  if (!failure.empty()) return inferlet::fail(failure);
  auto end = parser.finish();
  if (!end) return inferlet::fail(end.error() + ": " + *text);
  told.take(end->rest);
  if (parser.finish()) return inferlet::fail("a parser that was finished finished again");
  return end->answer;
}

inferlet::Conversation asked(const std::string& question) {
  inferlet::Conversation conversation;
  conversation.messages = {inferlet::Message::system("You are a helpful assistant."),
                           inferlet::Message::user(question)};
  conversation.tools = {
      {"get_weather", "Get the current weather in a city.",
       R"({"type":"object","properties":{"city":{"type":"string","description":"The city's name"}},)"
       R"("required":["city"]})"},
      {"add", "Add two numbers.",
       R"({"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}},)"
       R"("required":["a","b"]})"}};
  return conversation;
}

}  // namespace

Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  if (arguments.size() != 2) return inferlet::fail("usage: MODEL QUESTION");
  const auto model = inferlet::find_model(arguments[0]);
  if (!model) return inferlet::fail("no model " + arguments[0]);
  inferlet::Conversation conversation = asked(arguments[1]);
  for (int turn = 0; turn < 3; ++turn) {
    const auto prompt = inferlet::render(*model, conversation);
    if (!prompt) return inferlet::fail(prompt.error());
    if (!prompt->grammar()) return inferlet::fail("no grammar came with the tools");
    Told told;
    const auto answer = answered(arguments[0], *prompt, told);
    if (!answer) return inferlet::fail(answer.error());
    if (answer->tool_calls.empty()) {
      if (told.text != answer->content) return inferlet::fail("told " + told.text);
      inferlet::print("answer " + answer->content + "\n");
      return "done";
    }
    conversation.messages.push_back(answer->message());
    for (size_t i = 0; i < answer->tool_calls.size(); ++i) {
      const inferlet::ToolCall& call = answer->tool_calls[i];
      inferlet::print("call " + call.name + " " + call.arguments + "\n");
      inferlet::print("told " + told.arguments.at(i) + "\n");
      conversation.messages.push_back(
          inferlet::Message::result(call, R"({"city": "Paris", "celsius": 31, "sky": "sunny"})"));
    }
  }
  return inferlet::fail("three turns of calls");
}
