#pragma once
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/conversation.h"

namespace pie::model {

/// Puts the system turns at the beginning into the first user turn. Message: ChatMessage or Turn.
template <class Message>
std::vector<Message> without_system_turns(std::span<const Message> messages) {
  std::string words;
  while (!messages.empty() && messages.front().role == "system") {
    words += messages.front().content + "\n\n";
    messages = messages.subspan(1);
  }
  std::vector<Message> folded(messages.begin(), messages.end());
  if (words.empty()) return folded;
  if (folded.empty() || folded.front().role != "user") {
    words.resize(words.size() - 2);
    Message user;
    user.role = "user";
    user.content = std::move(words);
    folded.insert(folded.begin(), std::move(user));
  } else {
    folded.front().content.insert(0, words);
  }
  return folded;
}

/// The conversation for a template that knows no tools: they are described in the system turn,
/// calls are part of what the assistant says, results are what the user says.
Conversation with_tools_in_words(Conversation conversation);

/// Turns for a template that refuses them as they are: those of a role that is neither the user's
/// nor the assistant's become the user's, but for a system turn at the beginning, and turns of one
/// role that follow each other become one.
std::vector<Turn> with_alternating_roles(std::vector<Turn> turns);

/// A template whose format of calls is the one of with_tools_in_words().
extern const char* const kTemplateOfWords;

}  // namespace pie::model
