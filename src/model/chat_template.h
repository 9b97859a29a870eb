#pragma once
#include <span>
#include <string>

#include "base/result.h"

namespace pie::model {

struct ChatMessage {
  std::string role;  ///< "system", "user", "assistant", "tool"
  std::string content;
};

/// The model file's chat template (Jinja, llama.cpp's engine). Thread-safe.
class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;
  /// The Jinja source; "" when the file has none.
  virtual const std::string& source() const = 0;
  /// The conversation as the model expects it. kFailedPrecondition when the file has no template,
  /// kInvalidArgument with the template's own words when it refuses the messages.
  virtual Result<std::string> render(std::span<const ChatMessage> messages,
                                     bool add_generation_prompt) const = 0;
};

}  // namespace pie::model
