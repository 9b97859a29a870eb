#pragma once
#include <span>
#include <string>

#include "pie/model.h"

namespace inferlet {

struct ChatMessage {
  std::string role;  ///< "system", "user", "assistant"
  std::string content;
};

/// The conversation as the model's own chat template writes it, with or without the words that open
/// the assistant's next turn.
Result<std::string> render_chat(const Model& model, std::span<const ChatMessage> messages,
                                bool add_generation_prompt);

}  // namespace inferlet
