#pragma once
#include <cstdint>
#include <span>
#include <stop_token>
#include <string>

#include "base/result.h"

namespace pie::model {

struct ChatMessage {
  std::string role;  ///< "system", "user", "assistant", "tool"
  std::string content;
};

/// What follows the conversation: nothing, or the beginning of the model's answer
/// (add_generation_prompt of templates).
enum class PromptEnd { kNothing, kAnswer };

struct Conversation;
struct RenderedConversation;

/// The model file's chat template (Jinja, llama.cpp's engine). Thread-safe.
class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;
  /// The Jinja source; "" when the file has none.
  virtual const std::string& source() const = 0;
  /// The conversation as the model expects it. System turns at its beginning become part of the
  /// first user turn where the template has no place for them. Bounded in time, memory and depth;
  /// stops soon after `stop` is requested. kFailedPrecondition when the file has no template,
  /// kInvalidArgument with the template's own words when it refuses the messages, kUnsupported when
  /// it uses what this engine does not know, kResourceExhausted when it takes too much. `cpu_ns`,
  /// if given, gets the processor time that it took.
  virtual Result<std::string> render(std::span<const ChatMessage> messages, PromptEnd end,
                                     std::stop_token stop = {},
                                     uint64_t* cpu_ns = nullptr) const = 0;
  /// The same with tools, calls, results, reasoning and variables of the template's own, and how
  /// the answer is read (conversation.h). What the template does not know is said in words: system
  /// turns as above, tools where it has no place for them; where it refuses the turns' roles, those
  /// that follow each other become one, and strange ones the user's. kInvalidArgument for a mistake
  /// in the conversation, too.
  virtual Result<RenderedConversation> render(const Conversation& conversation,
                                              std::stop_token stop = {},
                                              uint64_t* cpu_ns = nullptr) const = 0;
};

}  // namespace pie::model
