#include "pie/conversation.h"

#include <cstdlib>
#include <utility>

#include "pie/lift.h"

namespace inferlet {
namespace {

/// The items of a list that the host returned, each taken over by `take`; frees the list.
template <class T, class Take>
auto items(abi::Slice<T> in, Take take) {
  std::vector<decltype(take(*in.data))> out;
  out.reserve(in.size);
  for (uint32_t i = 0; i < in.size; ++i) out.push_back(take(in.data[i]));
  if (in.size != 0) std::free(in.data);
  return out;
}

ToolCall call_of(const abi::ToolCall& in) {
  return {lift::text(in.id), lift::text(in.name), lift::text(in.arguments)};
}

AnswerDelta delta_of(const abi::AnswerDelta& in) {
  switch (in.kind) {
    case 0: return TextDelta{lift::text(in.of.text)};
    case 1: return ReasoningDelta{lift::text(in.of.text)};
    case 2:
      return CallDelta{in.of.call.index, lift::text(in.of.call.id), lift::text(in.of.call.name)};
    default: return ArgumentsDelta{in.of.arguments.index, lift::text(in.of.arguments.text)};
  }
}

abi::ToolCall lent(const ToolCall& call) {
  return {lift::lend(call.id), lift::lend(call.name), lift::lend(call.arguments)};
}

}  // namespace

Result<RenderedPrompt> render(const Model& model, const Conversation& conversation) {
  std::vector<std::vector<abi::ToolCall>> calls;
  std::vector<abi::ConversationMessage> messages;
  for (const Message& one : conversation.messages) {
    std::vector<abi::ToolCall>& own = calls.emplace_back();
    for (const ToolCall& call : one.tool_calls) own.push_back(lent(call));
    messages.push_back({lift::lend(one.role),
                        lift::lend(one.content),
                        lift::lend(one.reasoning),
                        {own.data(), static_cast<uint32_t>(own.size())},
                        lift::lend(one.tool_call_id),
                        lift::lend(one.tool_name)});
  }
  std::vector<abi::ToolDescription> tools;
  for (const Tool& one : conversation.tools)
    tools.push_back(
        {lift::lend(one.name), lift::lend(one.description), lift::lend(one.parameters)});
  const std::string& arguments = conversation.template_arguments;
  abi::RenderResult out;
  abi::conversation_render(model.handle(), messages.data(), static_cast<uint32_t>(messages.size()),
                           tools.data(), static_cast<uint32_t>(tools.size()),
                           static_cast<int32_t>(conversation.tool_choice),
                           conversation.parallel_tool_calls ? 1 : 0, arguments.data(),
                           lift::size(arguments), conversation.add_generation_prompt ? 1 : 0, &out);
  if (out.is_error != 0) return fail(lift::text(out.of.error));
  return RenderedPrompt(RenderedPrompt::Handle(out.of.rendered));
}

std::string RenderedPrompt::text() const {
  abi::Text out;
  abi::rendered_prompt(handle_.get(), &out);
  return lift::text(out);
}

std::vector<std::string> RenderedPrompt::stops() const {
  abi::Slice<abi::Text> out;
  abi::rendered_stops(handle_.get(), &out);
  return lift::texts(out);
}

std::optional<ToolGrammar> RenderedPrompt::grammar() const {
  abi::Option<abi::ToolGrammar> out;
  abi::rendered_grammar(handle_.get(), &out);
  if (out.has == 0) return std::nullopt;
  ToolGrammar grammar;
  grammar.text = lift::text(out.value.text);
  grammar.lazy = out.value.lazy != 0;
  grammar.triggers = items(out.value.triggers, [](const abi::GrammarTrigger& in) {
    return ToolGrammar::Trigger{static_cast<ToolGrammar::TriggerKind>(in.kind),
                                lift::text(in.text)};
  });
  return grammar;
}

AnswerParser RenderedPrompt::parser() const {
  return AnswerParser(AnswerParser::Handle(abi::rendered_parse(handle_.get())));
}

Result<std::vector<AnswerDelta>> AnswerParser::feed(std::string_view piece) {
  abi::FeedResult out;
  abi::answer_parser_feed(handle_.get(), piece.data(), lift::size(piece), &out);
  if (out.is_error != 0) return fail(lift::text(out.of.error));
  return items(out.of.deltas, delta_of);
}

Result<AnswerParser::End> AnswerParser::finish() {
  abi::FinishResult out;
  abi::answer_parser_finish(handle_.get(), &out);
  if (out.is_error != 0) return fail(lift::text(out.of.error));
  const abi::AnswerEnding& in = out.of.ending;
  End end;
  end.answer.content = lift::text(in.content);
  end.answer.reasoning = lift::text(in.reasoning);
  end.answer.tool_calls = items(in.tool_calls, call_of);
  end.rest = items(in.rest, delta_of);
  return end;
}

}  // namespace inferlet
