#include "model/jinja_template.h"

#include <common/jinja/caps.h>
#include <common/jinja/lexer.h>
#include <common/jinja/parser.h>
#include <common/jinja/runtime.h>
#include <common/jinja/value.h>
#include <fmt/format.h>

#include <vector>

#include "base/log.h"
#include "model/answer_format.h"
#include "model/bounded_run.h"
#include "model/chat_formats.h"
#include "model/folded_turns.h"

namespace pie::model {
namespace {

/// Templates of published models have up to some 20 kB.
constexpr size_t kSourceBytesMax = 256U << 10;

jinja::value text_value(const std::string& text) {
  return jinja::mk_val<jinja::value_string>(text);
}

/// The engine's parser and the walks over its tree recurse, some without allocating anything that
/// run_bounded() would see: as deep as one statement has tokens. Published templates have hundreds.
constexpr size_t kStatementTokensMax = 4'000;

void check_statements(const std::vector<jinja::token>& tokens) {
  size_t count = 0;
  for (const jinja::token& token : tokens) {
    const bool begins = token.t == jinja::token::open_statement ||
                        token.t == jinja::token::open_expression || token.t == jinja::token::text;
    count = begins ? 0 : count + 1;
    if (count > kStatementTokensMax)
      throw std::runtime_error(
          fmt::format("a statement of more than {} tokens", kStatementTokensMax));
  }
}

/// A template that parses, and how it takes messages. Made, used and destroyed within
/// run_bounded().
struct Parsed {
  std::string lexed_source;
  jinja::program program;
  std::string bos, eos;
  bool takes_plain_content = true;
  bool takes_system_turns = true;
  std::unique_ptr<const ChatFormats> formats;

  Parsed(const std::string& source, std::string bos_text, std::string eos_text)
      : bos(std::move(bos_text)), eos(std::move(eos_text)) {
    jinja::lexer lexer;
    const jinja::lexer_result tokens = lexer.tokenize(source);
    check_statements(tokens.tokens);
    lexed_source = tokens.source;
    program = jinja::parse_from_tokens(tokens);
    takes_plain_content = jinja::caps_get(program).supports_string_content;
    takes_system_turns =
        shows_system_turn(SystemTurn::kOwn) || !shows_system_turn(SystemTurn::kInUser);
    formats = std::make_unique<const ChatFormats>(source, bos, eos);
  }

  /// `refusal` gets the words by which the template itself refuses the messages.
  std::string run(std::span<const ChatMessage> messages, PromptEnd end,
                  std::string& refusal) const {
    jinja::context context(lexed_source);
    auto list = jinja::mk_val<jinja::value_array>();
    for (const ChatMessage& message : messages) list->push_back(message_value(message));
    context.set_val("messages", list);
    context.set_val("bos_token", text_value(bos));
    context.set_val("eos_token", text_value(eos));
    context.set_val("add_generation_prompt",
                    jinja::mk_val<jinja::value_bool>(end == PromptEnd::kAnswer));
    const auto raise = [&refusal](const jinja::func_args& arguments) -> jinja::value {
      refusal =
          arguments.count() == 0 ? "no reason given" : arguments.get_pos(0)->as_string().str();
      throw jinja::raised_exception(refusal);
    };
    context.set_val("raise_exception", jinja::mk_val<jinja::value_func>(
                                           "raise_exception", jinja::func_handler(raise)));
    jinja::runtime runtime(context);
    const jinja::value results = runtime.execute(program);
    return jinja::runtime::gather_string_parts(results)->as_string().str();
  }

 private:
  jinja::value message_value(const ChatMessage& message) const {
    auto object = jinja::mk_val<jinja::value_object>();
    object->insert("role", text_value(message.role));
    if (takes_plain_content) {
      object->insert("content", text_value(message.content));
    } else {
      auto part = jinja::mk_val<jinja::value_object>();
      part->insert("type", text_value("text"));
      part->insert("text", text_value(message.content));
      auto parts = jinja::mk_val<jinja::value_array>();
      parts->push_back(jinja::value(part));
      object->insert("content", parts);
    }
    return object;
  }

  /// Whether the template writes what a system turn says: in a turn of its own, or where it is part
  /// of the user's.
  enum class SystemTurn { kOwn, kInUser };
  bool shows_system_turn(SystemTurn where) const {
    const bool is_own_turn = where == SystemTurn::kOwn;
    constexpr const char* kWords = "PIE-PROBE";
    std::vector<ChatMessage> messages = {{"user", is_own_turn ? "Hello." : kWords}};
    if (is_own_turn) messages.insert(messages.begin(), {"system", kWords});
    std::string refusal;
    try {
      return run(messages, PromptEnd::kAnswer, refusal).find(kWords) != std::string::npos;
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception&) {
      return false;
    }
  }
};

class JinjaTemplate final : public ChatTemplate {
 public:
  JinjaTemplate(std::string source, const std::string& bos, const std::string& eos)
      : source_(std::move(source)) {
    if (source_.empty()) return;
    if (source_.size() > kSourceBytesMax) {
      error_ = fmt::format("[chat template] got {} bytes, expected at most {}", source_.size(),
                           kSourceBytesMax);
    } else {
      parse(bos, eos);
    }
    if (!error_.empty()) log::warning("the model's {}", error_);
  }

  ~JinjaTemplate() override {
    // Its tree may be deeper than this thread's stack.
    (void)run_bounded({}, {}, [tree = std::move(parsed_)]() mutable { tree = nullptr; });
  }

  const std::string& source() const override { return source_; }

  Result<std::string> render(std::span<const ChatMessage> messages, PromptEnd end,
                             std::stop_token stop, uint64_t* cpu_ns) const override {
    PIE_TRY(check_usable());
    struct Rendering {
      std::vector<ChatMessage> messages;
      std::string text, refusal;
    };
    const auto rendering = std::make_shared<Rendering>();
    rendering->messages = parsed_->takes_system_turns
                              ? std::vector<ChatMessage>(messages.begin(), messages.end())
                              : without_system_turns<ChatMessage>(messages);
    const Result<void> done = run_bounded(
        {}, std::move(stop),
        [parsed = parsed_, rendering, end] {
          rendering->text = parsed->run(rendering->messages, end, rendering->refusal);
        },
        cpu_ns);
    if (done.ok()) return std::move(rendering->text);
    return failed(done.error(), rendering->refusal);
  }

  Result<RenderedConversation> render(const Conversation& conversation, std::stop_token stop,
                                      uint64_t* cpu_ns) const override {
    PIE_TRY(check_usable());
    struct Rendering {
      Conversation conversation;
      RenderedConversation rendered;
      std::string mistake;
    };
    const auto rendering = std::make_shared<Rendering>();
    rendering->conversation = conversation;
    const Result<void> done = run_bounded(
        {}, std::move(stop),
        [parsed = parsed_, rendering] {
          const auto place = parsed->takes_system_turns ? ChatFormats::SystemPlace::kOwnTurn
                                                        : ChatFormats::SystemPlace::kUserTurn;
          try {
            rendering->rendered = parsed->formats->render(rendering->conversation, place);
          } catch (const Mistake& mistake) {
            rendering->mistake = mistake.what();
          }
        },
        cpu_ns);
    if (!done.ok()) return failed(done.error(), refusal_in(done.error().message));
    if (!rendering->mistake.empty())
      return Error{ErrorCode::kInvalidArgument, std::move(rendering->mistake)};
    return std::move(rendering->rendered);
  }

 private:
  Result<void> check_usable() const {
    if (source_.empty()) {
      return Error{
          ErrorCode::kFailedPrecondition,
          "[chat template] got a model file without one, expected tokenizer.chat_template: "
          "write the prompt as plain text"};
    }
    if (!parsed_) return Error{ErrorCode::kUnsupported, error_};
    return {};
  }

  /// The template's own words, as the engine reports them.
  static std::string refusal_in(const std::string& message) {
    constexpr std::string_view kBefore = "Jinja Exception: ";
    const size_t at = message.rfind(kBefore);
    return at == std::string::npos ? "" : message.substr(at + kBefore.size());
  }

  void parse(const std::string& bos, const std::string& eos) {
    struct Making {
      std::string source, bos, eos;
      std::shared_ptr<const Parsed> made;
    };
    const auto making = std::make_shared<Making>(Making{source_, bos, eos, nullptr});
    const Result<void> done = run_bounded({}, {}, [making] {
      making->made = std::make_shared<const Parsed>(making->source, making->bos, making->eos);
    });
    if (done.ok()) {
      parsed_ = std::move(making->made);
    } else if (done.error().code == ErrorCode::kResourceExhausted) {
      error_ = too_much(done.error().message).message;
    } else {
      error_ = fmt::format("[chat template] got '{}', expected a template that parses",
                           done.error().message);
    }
  }

  static Error too_much(const std::string& what) {
    return {
        ErrorCode::kResourceExhausted,
        fmt::format("[chat template] got one that takes {}, expected one that does with it", what)};
  }

  static Error failed(const Error& error, const std::string& refusal) {
    if (error.code == ErrorCode::kCancelled || error.code == ErrorCode::kUnavailable) return error;
    if (error.code == ErrorCode::kResourceExhausted) return too_much(error.message);
    if (!refusal.empty())
      return {ErrorCode::kInvalidArgument,
              fmt::format("[chat template] got messages that it refuses: {}", refusal)};
    return {ErrorCode::kUnsupported,
            fmt::format("[chat template] got what this server's template engine does not do with "
                        "these messages, expected a template that it runs: {}",
                        error.message)};
  }

  std::string source_;
  std::string error_;  ///< why it cannot be used; "" when it can
  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace

std::unique_ptr<ChatTemplate> make_jinja_template(std::string source, std::string bos,
                                                  std::string eos) {
  return std::make_unique<JinjaTemplate>(std::move(source), bos, eos);
}

}  // namespace pie::model
