#include "pie/answer.h"

#include <optional>
#include <utility>

#include "pie/ok.h"

namespace inferlet {
namespace {

/// Reads an answer while it is generated; of no more use after a text that does not fit.
class Reader {
 public:
  Reader(AnswerParser parser, OnAnswer on_delta)
      : parser_(std::move(parser)), on_delta_(std::move(on_delta)) {}
  void feed(std::string_view piece) {
    if (has_failed_) return;
    const auto deltas = parser_.feed(piece);
    has_failed_ = !deltas;
    if (deltas) tell(*deltas);
  }
  /// None where the text does not fit.
  std::optional<Answer> finish() {
    if (has_failed_) return std::nullopt;
    auto end = parser_.finish();
    if (!end) return std::nullopt;
    tell(end->rest);
    return std::move(end->answer);
  }

 private:
  void tell(const std::vector<AnswerDelta>& deltas) {
    if (!on_delta_) return;
    for (const AnswerDelta& delta : deltas) on_delta_(delta);
  }

  AnswerParser parser_;
  OnAnswer on_delta_;
  bool has_failed_ = false;
};

}  // namespace

Task<Result<Answer>> answer(Context& context, Conversation conversation, Sampler sampler, Stop stop,
                            OnAnswer on_delta) {
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
  Context::AnswerOptions options{.matcher = matcher ? &*matcher : nullptr};
  // Without anybody to tell, the engine need not wake the program for each token.
  const bool is_told = static_cast<bool>(on_delta);
  Reader reader(prompt.parser(), std::move(on_delta));
  if (is_told) options.on_text = [&reader](std::string_view piece) { reader.feed(piece); };
  auto generated =
      co_await ok(context.generate(std::move(sampler), std::move(stop), std::move(options)));
  if (!is_told) reader.feed(generated.text);
  auto read = reader.finish();
  if (!read) co_return Answer{std::move(generated.text), "", {}};
  co_return std::move(*read);
}

}  // namespace inferlet
