// A program that launches programs: one text-completion for each topic, all at once, each an
// instance of its own. What one of them returns is sent on when it is there.
//
//   TOPIC...            at least one; further arguments without an option
//   --prompt, -p        what to ask for; {topic} stands for the topic (default "Write one sentence
//                       about {topic}.")
//   --program           another program with the same options (default std/text-completion)
//   --max-tokens, -n    tokens of one answer at most (default 48)
//   --temperature, -t   0: always the most probable token (default 0)
//   --one-by-one        the same one after the other, to compare
//
// Sends each answer to the client as JSON (topic, instance, text), in the order in which they come,
// and returns them as a JSON object in the order of the topics.
#include <pie/inferlet.h>

namespace {

using inferlet::fail;
using inferlet::Json;
using inferlet::Result;
using inferlet::Task;

struct Options {
  std::vector<std::string> topics;
  std::string prompt = "Write one sentence about {topic}.";
  std::string program = "std/text-completion";
  int64_t max_tokens = 48;
  double temperature = 0.0;
  bool one_by_one = false;

  Result<void> parse(const std::vector<std::string>& arguments) {
    inferlet::ArgumentParser parser;
    parser.option("prompt", 'p', &prompt)
        .option("program", 0, &program)
        .option("max-tokens", 'n', &max_tokens)
        .option("temperature", 't', &temperature)
        .option("one-by-one", 0, &one_by_one);
    if (auto parsed = parser.parse(arguments); !parsed) return parsed;
    topics = parser.positional();
    if (topics.empty()) return fail("[topics] got none, expected at least one");
    return {};
  }
};

std::string asked(std::string prompt, const std::string& topic) {
  constexpr std::string_view kPlace = "{topic}";
  if (const size_t at = prompt.find(kPlace); at != std::string::npos)
    return prompt.replace(at, kPlace.size(), topic);
  return prompt + " " + topic;
}

/// One topic's program, from its launch to its end.
Task<Result<std::string>> answer(const Options& options, std::string topic) {
  auto child = co_await inferlet::launch(options.program,
                                         {"--prompt=" + asked(options.prompt, topic),
                                          "--max-tokens=" + std::to_string(options.max_tokens),
                                          "--temperature=" + std::to_string(options.temperature)});
  if (!child) co_return fail(child.error());
  const inferlet::ChildEnd end = co_await child->wait();
  if (!end.is_completed()) co_return fail("[" + topic + "] " + end.text);
  inferlet::send(
      Json(Json::Object{
               {"topic", Json(topic)}, {"instance", Json(child->id())}, {"text", Json(end.text)}})
          .text());
  co_return end.text;
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Options options;
  if (auto parsed = options.parse(arguments); !parsed) co_return fail(parsed.error());
  std::vector<Task<Result<std::string>>> tasks;  // a task does nothing until it is awaited
  for (const std::string& topic : options.topics) tasks.push_back(answer(options, topic));
  std::vector<Result<std::string>> answers;
  if (options.one_by_one) {
    for (auto& task : tasks) answers.push_back(co_await task);
  } else {
    answers = co_await when_all(std::move(tasks));
  }
  Json::Object texts;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i]) co_return fail(answers[i].error());
    texts.emplace_back(options.topics[i], Json(*answers[i]));
  }
  co_return Json(std::move(texts)).text();
}
