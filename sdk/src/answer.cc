#include "pie/answer.h"

#include <optional>
#include <utility>

#include "pie/ok.h"

namespace inferlet {

Task<Result<Answer>> answer(Context& context, Conversation conversation, Sampler sampler, Stop stop,
                            Context::OnText on_text) {
  const RenderedPrompt prompt = co_await ok(render(context.model(), conversation));
  co_await ok(context.become(prompt.text()));
  stop = std::move(stop) | Stop::end_of_turn(context.model());
  std::vector<std::vector<uint32_t>> stops;
  for (const std::string& text : prompt.stops())
    stops.push_back(context.tokenizer().tokenize(text));
  stop = std::move(stop) | Stop::ends_with_any(std::move(stops));

  std::optional<Matcher> matcher;
  const auto grammar = prompt.grammar();
  if (grammar && !grammar->lazy)
    matcher.emplace(co_await ok(Grammar::gbnf(context.model(), grammar->text)));
  const auto generated = co_await ok(
      context.generate(std::move(sampler), std::move(stop),
                       {.on_text = std::move(on_text), .matcher = matcher ? &*matcher : nullptr}));
  AnswerParser parser = prompt.parser();
  if (auto fed = parser.feed(generated.text); !fed) co_return Answer{generated.text, "", {}};
  auto end = parser.finish();
  if (!end) co_return Answer{generated.text, "", {}};
  co_return std::move(end->answer);
}

}  // namespace inferlet
