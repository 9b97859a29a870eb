// Reads a text that is longer than what it keeps: the text is cut into sections, behind each
// section the model notes what it says, and from then on only the note is attended to. Several
// notes get a note of their own in the same way. What nobody attends to goes back to the server.
//
//   --text, -x          the text (required); @ takes the first message of the client instead
//   --question, -q      what is asked in the end (required)
//   --section, -s       tokens of a section (default 96)
//   --note, -k          tokens of a note (default 16)
//   --fan, -f           notes that become one (default 4)
//   --max-tokens, -n    tokens of the answer at most (default 32)
//
// Returns JSON: the `answer`; `tokens` that were read and written; the most `attended` by any of
// them; the `pages` left.
#include <pie/inferlet.h>

#include <algorithm>

using namespace inferlet;

namespace {

/// A text whose parts give way to notes. Places count from the beginning of what is kept.
class Reader {
 public:
  Reader(Context context, size_t note, size_t fan)
      : context_(std::move(context)), note_(note), fan_(fan) {}

  Task<Result<void>> read(std::vector<uint32_t> section) {
    const size_t begin = context_.size();
    co_await ok(context_.fill_tokens(section));
    co_await ok(noted(begin, "\nIn short: "));
    if (++notes_ < fan_) co_return Result<void>();
    notes_ = 0;
    co_await ok(noted(chapter_, "\nAll in all: "));
    chapter_ = context_.size();
    co_return Result<void>();
  }

  Task<Result<std::string>> answer(std::string question, size_t tokens_max) {
    co_await ok(context_.fill("\n" + question));
    auto text = co_await ok(context_.generate(
        Sampler::greedy(), Stop::max_len(tokens_max) | Stop::end_of_turn(context_.model())));
    look();
    co_return text;
  }

  int64_t attended() const { return static_cast<int64_t>(attended_); }
  const Context& context() const { return context_; }

 private:
  /// Writes a note on everything from `begin` on, which is hidden then.
  Task<Result<void>> noted(size_t begin, std::string opening) {
    const size_t end = context_.size();
    co_await ok(context_.fill(opening));
    co_await ok(context_.generate(Sampler::greedy(), Stop::max_len(note_)));
    co_await ok(context_.flush());
    look();
    context_.mask_token_range(begin, end);
    context_.drop_masked_pages();
    co_return Result<void>();
  }
  void look() { attended_ = std::max(attended_, context_.attended()); }

  Context context_;
  size_t note_, fan_;
  size_t notes_ = 0, chapter_ = 0, attended_ = 0;
};

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string text, question;
  int64_t section = 96, note = 16, fan = 4, max_tokens = 32;
  ArgumentParser parser;
  parser.text("text", 'x', &text)
      .text("question", 'q', &question)
      .number("section", 's', &section, 16)
      .number("note", 'k', &note, 1)
      .number("fan", 'f', &fan, 2)
      .number("max-tokens", 'n', &max_tokens, 1);
  co_await ok(parser.parse(arguments));
  if (text == "@") text = co_await receive();

  Context context = co_await ok(Context::create());
  const std::vector<uint32_t> tokens = context.tokenizer().tokenize(text);
  Reader reader(std::move(context), static_cast<size_t>(note), static_cast<size_t>(fan));
  for (size_t at = 0; at < tokens.size(); at += static_cast<size_t>(section)) {
    const auto part = std::span(tokens).subspan(at).first(
        std::min(static_cast<size_t>(section), tokens.size() - at));
    co_await ok(reader.read({part.begin(), part.end()}));
  }
  const std::string answer = co_await ok(reader.answer(question, static_cast<size_t>(max_tokens)));
  co_return Json(Json::Object{{"answer", answer},
                              {"tokens", static_cast<int64_t>(reader.context().position())},
                              {"attended", reader.attended()},
                              {"pages", static_cast<int64_t>(reader.context().kv_page_count())}})
      .text();
}
