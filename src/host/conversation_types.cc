#include "host/conversation_types.h"

#include <utility>

namespace pie::host {
namespace {

model::Turn turn_of(MessageRecord message) {
  model::Turn turn;
  turn.role = std::move(message.role);
  turn.content = std::move(message.content);
  turn.reasoning = std::move(message.reasoning);
  turn.tool_call_id = std::move(message.tool_call_id);
  turn.tool_name = std::move(message.tool_name);
  for (ToolCallRecord& call : message.tool_calls)
    turn.tool_calls.push_back(
        {std::move(call.id), std::move(call.name), std::move(call.arguments)});
  return turn;
}

}  // namespace

uint64_t bytes_of(const ConversationRecord& conversation) {
  uint64_t bytes = conversation.template_arguments.size();
  for (const MessageRecord& one : conversation.messages) {
    bytes += sizeof(model::Turn) + one.role.size() + one.content.size() + one.reasoning.size() +
             one.tool_call_id.size() + one.tool_name.size();
    for (const ToolCallRecord& call : one.tool_calls)
      bytes += sizeof(model::ToolCall) + call.id.size() + call.name.size() + call.arguments.size();
  }
  for (const ToolRecord& one : conversation.tools)
    bytes += sizeof(model::ToolDescription) + one.name.size() + one.description.size() +
             one.parameters.size();
  return bytes;
}

model::Conversation taken(ConversationRecord conversation) {
  model::Conversation made;
  for (MessageRecord& one : conversation.messages) made.turns.push_back(turn_of(std::move(one)));
  for (ToolRecord& one : conversation.tools)
    made.tools.push_back(
        {std::move(one.name), std::move(one.description), std::move(one.parameters)});
  made.tool_choice = static_cast<model::ToolChoice>(conversation.tool_choice);
  made.has_parallel_calls = conversation.parallel_tool_calls;
  made.template_arguments = std::move(conversation.template_arguments);
  made.end =
      conversation.add_generation_prompt ? model::PromptEnd::kAnswer : model::PromptEnd::kNothing;
  return made;
}

GrammarRecord record_of(const model::ToolGrammar& grammar) {
  GrammarRecord record{grammar.text, grammar.is_lazy, {}};
  for (const auto& [kind, text] : grammar.triggers)
    record.triggers.push_back({static_cast<TriggerKindCase>(kind), text});
  return record;
}

DeltaList records_of(std::vector<model::AnswerDelta> deltas) {
  using Kind = model::AnswerDelta::Kind;
  DeltaList records;
  for (model::AnswerDelta& delta : deltas) {
    const auto index = static_cast<uint32_t>(delta.call);
    switch (delta.kind) {
      case Kind::kText: records.emplace_back(std::in_place_index<0>, std::move(delta.text)); break;
      case Kind::kReasoning:
        records.emplace_back(std::in_place_index<1>, std::move(delta.text));
        break;
      case Kind::kCall:
        records.emplace_back(CallStartRecord{index, std::move(delta.id), std::move(delta.text)});
        break;
      case Kind::kArguments:
        records.emplace_back(ArgumentsPieceRecord{index, std::move(delta.text)});
        break;
    }
  }
  return records;
}

EndingRecord record_of(model::AnswerEnd end) {
  EndingRecord record;
  record.answer.content = std::move(end.answer.text);
  record.answer.reasoning = std::move(end.answer.reasoning);
  for (model::ToolCall& call : end.answer.calls)
    record.answer.tool_calls.push_back(
        {std::move(call.id), std::move(call.name), std::move(call.arguments)});
  record.rest = records_of(std::move(end.rest));
  return record;
}

}  // namespace pie::host
