#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pie/handle.h"
#include "pie/model.h"

namespace inferlet {

/// The model asks for a tool.
struct ToolCall {
  std::string id;         ///< by which the result names its call; "" where nobody gave one
  std::string name;       ///< of the tool
  std::string arguments;  ///< the text of a JSON object; "" for an empty one
  bool operator==(const ToolCall&) const = default;
};

/// What one side said.
struct Message {
  std::string role;  ///< "system", "user", "assistant", "tool"
  std::string content;
  std::string reasoning;             ///< of the assistant, before `content`
  std::vector<ToolCall> tool_calls;  ///< of the assistant, after `content`
  std::string tool_call_id;          ///< of a tool: which call `content` is the result of
  std::string tool_name;             ///< of a tool: its name

  static Message system(std::string content) {
    return {"system", std::move(content), {}, {}, {}, {}};
  }
  static Message user(std::string content) { return {"user", std::move(content), {}, {}, {}, {}}; }
  static Message assistant(std::string content) {
    return {"assistant", std::move(content), {}, {}, {}, {}};
  }
  static Message result(const ToolCall& call, std::string content) {
    return {"tool", std::move(content), {}, {}, call.id, call.name};
  }
};

/// What the model is told of a tool.
struct Tool {
  std::string name;         ///< 1 to 128 letters, digits and `_ - . / :`
  std::string description;  ///< for the model
  std::string parameters;   ///< the text of a JSON Schema of the arguments; "": none
};

enum class ToolChoice { kAuto, kNone, kRequired };

struct Conversation {
  std::vector<Message> messages;
  std::vector<Tool> tools;
  ToolChoice tool_choice = ToolChoice::kAuto;
  bool parallel_tool_calls = false;  ///< one answer may have several calls
  std::string template_arguments;    ///< JSON: {"enable_thinking": false}, say; "": none
  bool add_generation_prompt = true;
};

/// What makes an answer hold to the format of calls, in llama.cpp's notation.
struct ToolGrammar {
  enum class TriggerKind { kToken, kWord, kPattern, kWholePattern };
  struct Trigger {
    TriggerKind kind;
    std::string text;
  };
  std::string text;
  bool lazy = false;  ///< it holds from the first trigger in the answer
  std::vector<Trigger> triggers;
};

/// An answer as the model's format has it.
struct Answer {
  std::string content, reasoning;
  std::vector<ToolCall> tool_calls;
  bool operator==(const Answer&) const = default;
  /// As a further message of its conversation.
  Message message() const { return {"assistant", content, reasoning, tool_calls, {}, {}}; }
};

/// What an answer says further: pieces of its text, of its reasoning, a call, a piece of its
/// arguments.
struct TextDelta {
  std::string text;
};
struct ReasoningDelta {
  std::string text;
};
struct CallDelta {
  uint32_t index;  ///< of the call in the answer
  std::string id, name;
};
struct ArgumentsDelta {
  uint32_t index;
  std::string text;
};
using AnswerDelta = std::variant<TextDelta, ReasoningDelta, CallDelta, ArgumentsDelta>;

/// Reads one answer while it is generated. Pieces have no stop tokens and no stop texts.
class AnswerParser {
 public:
  struct End {
    Answer answer;
    std::vector<AnswerDelta> rest;  ///< what feed() had not given of it
  };
  /// What the answer says by now that was not given yet. It is looked at when it has grown by a
  /// 64th and by 16 bytes at least.
  Result<std::vector<AnswerDelta>> feed(std::string_view piece);
  /// The whole answer, once. It fails when the text does not fit the model's format or a call is
  /// cut off: the text is the caller's to take as it is.
  Result<End> finish();

 private:
  friend class RenderedPrompt;
  using Handle = OwnedHandle<abi::answer_parser_drop>;
  explicit AnswerParser(Handle handle) : handle_(std::move(handle)) {}
  Handle handle_;
};

/// A conversation as the model expects it.
class RenderedPrompt {
 public:
  std::string text() const;
  std::vector<std::string> stops() const;  ///< that end an answer, beside the model's stop tokens
  std::optional<ToolGrammar> grammar() const;
  AnswerParser parser() const;  ///< for one answer; as many as there are answers

 private:
  friend Result<RenderedPrompt> render(const Model& model, const Conversation& conversation);
  using Handle = OwnedHandle<abi::rendered_drop>;
  explicit RenderedPrompt(Handle handle) : handle_(std::move(handle)) {}
  Handle handle_;
};

/// By the model's own template. What it does not know is said in words instead: tools, roles. The
/// error says what is wrong with the conversation.
Result<RenderedPrompt> render(const Model& model, const Conversation& conversation);

}  // namespace inferlet
