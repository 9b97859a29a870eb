// An agent that acts by writing code: the model answers with a program, which runs here, inside
// this program's own sandbox, and what it prints goes back to the model. A grammar holds what the
// model writes to the language that is there.
//
//   --question, -q      what it is asked
//   --model, -m         one that writes code (default: the first one)
//   --turns, -t         programs at most (default 4)
//   --max-tokens, -n    tokens of one program at most (default 160)
//   --run               a program of yours to run, instead of a question
//
// The language is a small part of Python (script.h): whole numbers, variables, loops, conditions.
// It is read and run by a few hundred lines of this program, bounded in steps, depth and output; it
// reaches nothing outside of them. Says on stdout what it does: `code`, `output` or `error`, and
// the lines of it. Returns the answer.
#include <pie/inferlet.h>

#include "script.h"

using namespace inferlet;

namespace {

constexpr std::string_view kSystem =
    "You answer questions by writing a short Python program that prints the result with print(). "
    "Use whole numbers, variables, for loops over range(), and if. No functions, no strings.";

/// The program in a fenced block.
std::string code_in(const std::string& text) {
  constexpr std::string_view kOpen = "```python\n";
  const size_t begin = text.find(kOpen);
  if (begin == std::string::npos) return "";
  const size_t end = text.find("```", begin + kOpen.size());
  return text.substr(begin + kOpen.size(), end - begin - kOpen.size());
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string question, model, code;
  int64_t turns = 4, max_tokens = 160;
  ArgumentParser parser;
  parser.option("question", 'q', &question)
      .option("model", 'm', &model)
      .number("turns", 't', &turns, 1, 64)
      .number("max-tokens", 'n', &max_tokens, 16)
      .option("run", 0, &code);
  co_await ok(parser.parse(arguments));
  if (!code.empty()) co_return run_script(code);
  if (question.empty()) co_return fail("[arguments] expected --question or --run");

  Context context = co_await ok(model.empty() ? Context::create() : Context::create(model));
  const Grammar grammar = co_await ok(Grammar::gbnf(context.model(), script_grammar()));
  context.fill_system(std::string(kSystem));
  context.fill_user(question);
  const auto stop = Stop::max_len(static_cast<size_t>(max_tokens));
  for (int64_t turn = 0; turn < turns; ++turn) {
    Matcher matcher(grammar);
    const auto said = co_await ok(context.generate(Sampler::greedy(), stop, {.matcher = &matcher}));
    code = code_in(said.text);
    print("code\n" + code);
    const auto output = run_script(code);
    print(output ? "output\n" + *output : "error\n" + output.error() + "\n");
    if (output && !output->empty())
      co_return co_await ok(context.ask(
          "The program printed:\n" + *output + "Answer the question in one sentence, without code.",
          Sampler::greedy(), stop | Stop::end_of_turn(context.model())));
    context.fill_user(output ? "It printed nothing. Write it again, with print()."
                             : "It failed: " + output.error() + ". Write it again.");
  }
  co_return fail("[--turns] got " + std::to_string(turns) +
                 ", expected enough for a program that runs");
}
