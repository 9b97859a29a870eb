#include "model/jinja_template.h"

#include <fmt/format.h>
#include <jinja/caps.h>
#include <jinja/lexer.h>
#include <jinja/parser.h>
#include <jinja/runtime.h>
#include <jinja/value.h>

#include <optional>

#include "base/log.h"

namespace pie::model {
namespace {

jinja::value text_value(const std::string& text) {
  return jinja::mk_val<jinja::value_string>(text);
}

class JinjaTemplate final : public ChatTemplate {
 public:
  JinjaTemplate(std::string source, std::string bos, std::string eos)
      : source_(std::move(source)), bos_(std::move(bos)), eos_(std::move(eos)) {
    if (source_.empty()) return;
    try {
      jinja::lexer lexer;
      const jinja::lexer_result tokens = lexer.tokenize(source_);
      lexed_source_ = tokens.source;
      program_.emplace(jinja::parse_from_tokens(tokens));
      takes_plain_content_ = jinja::caps_get(*program_).supports_string_content;
    } catch (const std::exception& e) {
      program_.reset();
      parse_error_ = e.what();
      log::warning("chat template of the model does not parse: {}", parse_error_);
    }
  }

  const std::string& source() const override { return source_; }

  Result<std::string> render(std::span<const ChatMessage> messages,
                             bool add_generation_prompt) const override {
    if (source_.empty()) {
      return Error{
          ErrorCode::kFailedPrecondition,
          "[chat template] got a model file without one, expected tokenizer.chat_template: "
          "write the prompt as plain text"};
    }
    if (!program_) {
      return Error{
          ErrorCode::kUnsupported,
          fmt::format("[chat template] got '{}', expected a template that parses", parse_error_)};
    }
    try {
      return run(messages, add_generation_prompt);
    } catch (const std::exception& e) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[chat template] got messages that it refuses: {}", e.what())};
    }
  }

 private:
  std::string run(std::span<const ChatMessage> messages, bool add_generation_prompt) const {
    jinja::context context(lexed_source_);
    auto list = jinja::mk_val<jinja::value_array>();
    for (const ChatMessage& message : messages) list->push_back(message_value(message));
    context.set_val("messages", list);
    context.set_val("bos_token", text_value(bos_));
    context.set_val("eos_token", text_value(eos_));
    context.set_val("add_generation_prompt",
                    jinja::mk_val<jinja::value_bool>(add_generation_prompt));
    jinja::runtime runtime(context);
    const jinja::value results = runtime.execute(*program_);
    return jinja::runtime::gather_string_parts(results)->as_string().str();
  }

  jinja::value message_value(const ChatMessage& message) const {
    auto object = jinja::mk_val<jinja::value_object>();
    object->insert("role", text_value(message.role));
    if (takes_plain_content_) {
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

  std::string source_, bos_, eos_;
  std::string lexed_source_;
  std::string parse_error_;
  std::optional<jinja::program> program_;
  bool takes_plain_content_ = true;
};

}  // namespace

std::unique_ptr<ChatTemplate> make_jinja_template(std::string source, std::string bos,
                                                  std::string eos) {
  return std::make_unique<JinjaTemplate>(std::move(source), std::move(bos), std::move(eos));
}

}  // namespace pie::model
