#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "model/answer_parser.h"
#include "model/conversation.h"
#include "wasm/wit_described.h"

namespace pie::host {

// The records of pie:chat/conversation, and what they are in src/model.

struct ToolCallRecord {
  std::string id, name, arguments;
};
constexpr auto wit_type(const ToolCallRecord*) {
  return wasm::record(wasm::field("id", &ToolCallRecord::id),
                      wasm::field("name", &ToolCallRecord::name),
                      wasm::field("arguments", &ToolCallRecord::arguments));
}

struct MessageRecord {
  std::string role, content, reasoning;
  std::vector<ToolCallRecord> tool_calls;
  std::string tool_call_id, tool_name;
};
constexpr auto wit_type(const MessageRecord*) {
  return wasm::record(wasm::field("role", &MessageRecord::role),
                      wasm::field("content", &MessageRecord::content),
                      wasm::field("reasoning", &MessageRecord::reasoning),
                      wasm::field("tool-calls", &MessageRecord::tool_calls),
                      wasm::field("tool-call-id", &MessageRecord::tool_call_id),
                      wasm::field("tool-name", &MessageRecord::tool_name));
}

struct ToolRecord {
  std::string name, description, parameters;
};
constexpr auto wit_type(const ToolRecord*) {
  return wasm::record(wasm::field("name", &ToolRecord::name),
                      wasm::field("description", &ToolRecord::description),
                      wasm::field("parameters", &ToolRecord::parameters));
}

enum class ToolChoiceCase { kAuto, kNone, kRequired };
constexpr auto wit_type(const ToolChoiceCase*) { return wasm::enum_of("auto", "none", "required"); }

struct ConversationRecord {
  std::vector<MessageRecord> messages;
  std::vector<ToolRecord> tools;
  ToolChoiceCase tool_choice = ToolChoiceCase::kAuto;
  bool parallel_tool_calls = false;
  std::string template_arguments;
  bool add_generation_prompt = false;
};
constexpr auto wit_type(const ConversationRecord*) {
  return wasm::record(
      wasm::field("messages", &ConversationRecord::messages),
      wasm::field("tools", &ConversationRecord::tools),
      wasm::field("tool-choice", &ConversationRecord::tool_choice),
      wasm::field("parallel-tool-calls", &ConversationRecord::parallel_tool_calls),
      wasm::field("template-arguments", &ConversationRecord::template_arguments),
      wasm::field("add-generation-prompt", &ConversationRecord::add_generation_prompt));
}

enum class TriggerKindCase { kToken, kWord, kPattern, kWholePattern };
constexpr auto wit_type(const TriggerKindCase*) {
  return wasm::enum_of("token", "word", "pattern", "whole-pattern");
}
struct TriggerRecord {
  TriggerKindCase kind = TriggerKindCase::kWord;
  std::string text;
};
constexpr auto wit_type(const TriggerRecord*) {
  return wasm::record(wasm::field("kind", &TriggerRecord::kind),
                      wasm::field("text", &TriggerRecord::text));
}
struct GrammarRecord {
  std::string text;
  bool lazy = false;
  std::vector<TriggerRecord> triggers;
};
constexpr auto wit_type(const GrammarRecord*) {
  return wasm::record(wasm::field("text", &GrammarRecord::text),
                      wasm::field("lazy", &GrammarRecord::lazy),
                      wasm::field("triggers", &GrammarRecord::triggers));
}

struct CallStartRecord {
  uint32_t index = 0;
  std::string id, name;
};
constexpr auto wit_type(const CallStartRecord*) {
  return wasm::record(wasm::field("index", &CallStartRecord::index),
                      wasm::field("id", &CallStartRecord::id),
                      wasm::field("name", &CallStartRecord::name));
}
struct ArgumentsPieceRecord {
  uint32_t index = 0;
  std::string text;
};
constexpr auto wit_type(const ArgumentsPieceRecord*) {
  return wasm::record(wasm::field("index", &ArgumentsPieceRecord::index),
                      wasm::field("text", &ArgumentsPieceRecord::text));
}
using DeltaCase = std::variant<std::string, std::string, CallStartRecord, ArgumentsPieceRecord>;
constexpr auto wit_type(const DeltaCase*) {
  return wasm::variant_of("text", "reasoning", "call", "arguments");
}
using DeltaList = std::vector<DeltaCase>;

struct AnswerRecord {
  std::string content, reasoning;
  std::vector<ToolCallRecord> tool_calls;
};
constexpr auto wit_type(const AnswerRecord*) {
  return wasm::record(wasm::field("content", &AnswerRecord::content),
                      wasm::field("reasoning", &AnswerRecord::reasoning),
                      wasm::field("tool-calls", &AnswerRecord::tool_calls));
}
struct EndingRecord {
  AnswerRecord answer;
  DeltaList rest;
};
constexpr auto wit_type(const EndingRecord*) {
  return wasm::record(wasm::field("answer", &EndingRecord::answer),
                      wasm::field("rest", &EndingRecord::rest));
}

/// What the texts of a conversation and what holds them take in memory.
uint64_t bytes_of(const ConversationRecord& conversation);
model::Conversation taken(ConversationRecord conversation);
GrammarRecord record_of(const model::ToolGrammar& grammar);
DeltaList records_of(std::vector<model::AnswerDelta> deltas);
EndingRecord record_of(model::AnswerEnd end);

}  // namespace pie::host
