#pragma once
#include <common/chat.h>

#include <memory>
#include <string>

#include "model/conversation.h"
#include "model/format_cache.h"

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

  /// One that llama.cpp knows, or analyses.
  struct Template {
    Template(const std::string& source, const std::string& bos, const std::string& eos);
    common_chat_templates_ptr parsed;
    bool is_analysed;           ///< it has no format of its own: what it writes is looked at
    mutable FormatCache known;  ///< of one that is analysed
  };

 private:
  Template template_;
  std::unique_ptr<const Template> words_;  ///< null where the template knows tools
};

}  // namespace pie::model
