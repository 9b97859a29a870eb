#include "pie/chat.h"

#include <vector>

#include "pie/lift.h"

namespace inferlet {

Result<std::string> render_chat(const Model& model, std::span<const ChatMessage> messages,
                                bool add_generation_prompt) {
  std::vector<abi::ChatMessage> lent;
  lent.reserve(messages.size());
  for (const ChatMessage& message : messages) {
    lent.push_back({lift::lend(message.role), lift::lend(message.content)});
  }
  abi::TextResult out;
  abi::chat_render(model.handle(), lent.data(), lent.size(), add_generation_prompt ? 1 : 0, &out);
  std::string text = lift::text(out.text);
  if (out.is_error != 0) return fail(text);
  return text;
}

}  // namespace inferlet
