#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/chat_template.h"

namespace pie::model {

/// One call of a tool that the model asks for.
struct ToolCall {
  std::string id;         ///< by which its result names it; "" where nobody gave one
  std::string name;       ///< of the tool
  std::string arguments;  ///< the text of a JSON object
  bool operator==(const ToolCall&) const = default;
};

/// What one side said.
struct Turn {
  std::string role;  ///< "system", "user", "assistant", "tool", or what the template knows beside
  std::string content;
  std::string reasoning;             ///< of the assistant, before `content`
  std::vector<ToolCall> tool_calls;  ///< of the assistant, after `content`
  std::string tool_call_id;          ///< of "tool": the call that `content` is the result of
  std::string tool_name;             ///< of "tool": whose result it is
};

struct ToolDescription {
  std::string name;         ///< 1 to 128 letters, digits and `_ - . / :`
  std::string description;  ///< for the model
  std::string parameters;   ///< the text of a JSON Schema of the arguments; "" for none
};

enum class ToolChoice { kAuto, kNone, kRequired };  ///< kNone: it may not call any

struct Conversation {
  std::vector<Turn> turns;
  std::vector<ToolDescription> tools;
  ToolChoice tool_choice = ToolChoice::kAuto;
  bool has_parallel_calls = false;  ///< an answer may call several tools
  std::string template_arguments;   ///< the text of a JSON object: more of the template's variables
  PromptEnd end = PromptEnd::kAnswer;
};

/// What makes the model hold to its format of tool calls.
struct ToolGrammar {
  struct Trigger {
    enum class Kind { kToken, kWord, kPattern, kWholePattern } kind;
    std::string text;  ///< a word, or a regular expression (for a whole answer: from its begin)
  };
  std::string text;               ///< in llama.cpp's notation (GBNF)
  bool is_lazy = false;           ///< it holds from the first trigger that the answer contains
  std::vector<Trigger> triggers;  ///< of a lazy one
};

/// How answers to one prompt are read (answer_parser.h). Immutable; any thread.
class AnswerFormat;

struct RenderedConversation {
  std::string prompt;
  /// The end of the prompt, of which the format takes note as the begin of the answer.
  std::string answer_begin;
  std::vector<std::string> stops;  ///< texts that end an answer, beside the model's own
  std::optional<ToolGrammar> grammar;
  std::shared_ptr<const AnswerFormat> format;
  size_t format_bytes = 0;  ///< about what `format` takes in memory
};

}  // namespace pie::model
