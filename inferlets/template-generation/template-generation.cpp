// A text with holes that the model fills. What the template says is not generated but computed
// along with the prompt; a hole ends where the text behind it begins.
//
//   --template           (required) text with holes: <<name>> takes any text, <<name:regex>> one
//                        that the regular expression matches
//   --prompt, -p         a user turn that the template is the answer to; none: raw text
//   --hole-tokens, -n    tokens of one hole at most (default 48). One without an expression is cut
//                        there; one with an expression that is not at its end is an error
//   --temperature, -t    0: always the most probable token (default 0)
//   --seed, -s           the same text again (default 1)
//
// Prints the whole text, and returns what is in the holes as a JSON object.
#include <pie/generation.h>
#include <pie/inferlet.h>

#include <algorithm>

namespace {

using inferlet::fail;
using inferlet::Generation;
using inferlet::GenerationEnd;
using inferlet::Json;
using inferlet::Result;
using Tokens = std::vector<uint32_t>;

struct Hole {
  std::string name;
  std::string regex;  ///< empty: any text
  std::string after;  ///< the template's text from here to the next hole

  /// By this one knows that the hole has ended: how `after` begins.
  std::string end() const {
    size_t count = std::min<size_t>(after.size(), 12);
    while (count < after.size() && (after[count] & 0xC0) == 0x80) ++count;  // whole characters
    return after.substr(0, count);
  }
};

struct Template {
  std::string before;  ///< the text before the first hole
  std::vector<Hole> holes;

  static Result<Template> parse(std::string_view text) {
    Template out;
    std::string* into = &out.before;
    for (;;) {
      const size_t begin = text.find("<<");
      *into = text.substr(0, begin);
      if (begin == std::string_view::npos) return out;
      const size_t end = text.find(">>", begin);
      if (end == std::string_view::npos)
        return fail("[--template] got << without >> in: " + std::string(text.substr(begin)));
      const std::string_view inner = text.substr(begin + 2, end - begin - 2);
      const size_t colon = std::min(inner.find(':'), inner.size());
      if (colon == 0) return fail("[--template] got a hole without a name, expected <<name>>");
      const size_t regex = std::min(colon + 1, inner.size());
      out.holes.push_back(
          {std::string(inner.substr(0, colon)), std::string(inner.substr(regex)), ""});
      into = &out.holes.back().after;
      text.remove_prefix(end + 2);
    }
  }
};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char one : text) {
    if (std::string_view("\\.+*?()|[]{}^$#&-~").contains(one)) out += '\\';
    out += one;
  }
  return out;
}

/// The text so far: tokens whose keys and values are in the pages, and tokens that wait.
class Text {
 public:
  explicit Text(const inferlet::Context& begin)
      : model_(begin.model()),
        tokenizer_(begin.tokenizer()),
        pool_(std::make_shared<inferlet::KvPages>(model_.create_queue(), model_.kv_page_size())),
        pending_(begin.tokens()) {}

  /// What the model writes into a hole; it and what is behind the hole are part of the text then.
  Result<std::string> fill(const Hole& hole, inferlet::GenerationRequest request) {
    const size_t length = computed_.size() + pending_.size() + request.tokens_max;
    const size_t wanted = (length + pool_->page_size() - 1) / pool_->page_size();
    if (wanted > pages_.size()) {
      for (auto& page : pool_->take(wanted - pages_.size())) pages_.push_back(std::move(page));
    }
    for (const auto& page : pages_) request.pages.push_back(page->number());
    request.context = computed_;
    request.context_length = request.position = static_cast<uint32_t>(computed_.size());
    request.pending = pending_;
    auto value = hole.regex.empty() ? free_text(hole, request) : matched(hole, request);
    if (!value) return value;
    // Tokenized anew together with what follows, as if nobody had stopped between the two.
    Tokens more = tokenizer_.tokenize(*value + hole.after);
    if (!more.empty()) {
      computed_.insert(computed_.end(), pending_.begin(), pending_.end());
      pending_ = std::move(more);
    }
    return value;
  }

 private:
  Result<std::string> free_text(const Hole& hole, inferlet::GenerationRequest& request) {
    if (!hole.after.empty()) request.stop_texts = {hole.end()};
    for (const auto& end : inferlet::Stop::end_of_turn(model_).sequences())
      if (end.size() == 1) request.stop_tokens.push_back(end.front());
    GenerationEnd end;
    return run(Generation::start(pool_->queue(), request), end);
  }

  Result<std::string> matched(const Hole& hole, const inferlet::GenerationRequest& request) {
    const std::string tail = hole.end();
    const auto grammar = inferlet::Grammar::regex(model_, "(?:" + hole.regex + ")" + escaped(tail));
    if (!grammar) return fail("[<<" + hole.name + ">>] " + grammar.error());
    GenerationEnd end;
    auto text = run(Generation::start(pool_->queue(), request, inferlet::Matcher(*grammar)), end);
    if (!text) return text;
    if (end.reason != GenerationEnd::Reason::kComplete &&
        end.reason != GenerationEnd::Reason::kStopToken)
      return fail("[<<" + hole.name + ">>] got \"" + *text + "\", expected its end within " +
                  std::to_string(request.tokens_max) + " tokens");
    text->resize(text->size() - tail.size());
    return text;
  }

  static Result<std::string> run(Result<Generation> generation, GenerationEnd& end) {
    if (!generation) return fail(generation.error());
    std::string text;
    while (const auto piece = generation->next()) text += piece->text;
    end = generation->end().value_or(GenerationEnd{});
    if (end.reason == GenerationEnd::Reason::kFailed) return fail("[model] " + end.message);
    return text;
  }

  const inferlet::Model& model_;
  const inferlet::Tokenizer& tokenizer_;
  std::shared_ptr<inferlet::KvPages> pool_;
  std::vector<std::shared_ptr<const inferlet::KvPage>> pages_;
  Tokens computed_, pending_;
};

}  // namespace

Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  std::string prompt, text;
  int64_t hole_tokens = 48, seed = 1;
  double temperature = 0.0;
  inferlet::ArgumentParser parser;
  parser.option("template", 0, &text)
      .option("prompt", 'p', &prompt)
      .option("hole-tokens", 'n', &hole_tokens)
      .option("temperature", 't', &temperature)
      .option("seed", 's', &seed);
  if (auto parsed = parser.parse(arguments); !parsed) return fail(parsed.error());
  if (hole_tokens < 1 || hole_tokens > 4096)
    return fail("[--hole-tokens] got " + std::to_string(hole_tokens) + ", expected 1 to 4096");
  const auto form = Template::parse(text);
  if (!form) return fail(form.error());
  if (form->holes.empty()) return fail("[--template] got no hole, expected <<name>> in it");

  auto begin = inferlet::Context::create();  // writes what comes before; computes nothing
  if (!begin) return fail(begin.error());
  if (!prompt.empty()) {
    begin->fill_user(prompt);
    if (auto opened = begin->open_answer(); !opened) return fail(opened.error());
  }
  if (!form->before.empty()) {
    if (auto filled = begin->fill(form->before); !filled) return fail(filled.error());
  }
  if (begin->size() == 0) return fail("[--template] got a hole first, expected text or --prompt");

  inferlet::GenerationRequest request;
  request.tokens_max = static_cast<uint32_t>(hole_tokens);
  request.sampling.temperature = static_cast<float>(temperature);
  request.sampling.seed = static_cast<uint64_t>(seed);
  Text whole(*begin);
  Json::Object values;
  inferlet::print(form->before);
  for (const Hole& hole : form->holes) {
    auto value = whole.fill(hole, request);
    if (!value) return fail(value.error());
    inferlet::print(*value + hole.after);
    values.emplace_back(hole.name, Json(std::move(*value)));
  }
  return Json(std::move(values)).text();
}
