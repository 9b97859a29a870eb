#pragma once
#include <common/chat.h>

#include <string>

#include "model/conversation.h"

namespace pie::model {

/// A template as llama.cpp's chat formats know it: prompts with tools, and how answers to them are
/// read. Made, used and destroyed within run_bounded(); const use by several threads.
class ChatFormats {
 public:
  /// Throws what the engine's parser does.
  ChatFormats(const std::string& source, const std::string& bos, const std::string& eos);

  /// Where a template has a place for system turns.
  enum class SystemPlace { kOwnTurn, kUserTurn };
  /// Throws Mistake for what is wrong with the conversation, else what the engine does.
  RenderedConversation render(const Conversation& conversation, SystemPlace place) const;

 private:
  common_chat_templates_ptr templates_;
  common_chat_templates_ptr words_;  ///< null where the template knows tools
};

}  // namespace pie::model
