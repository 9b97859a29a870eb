#include "model/folded_turns.h"

#include <fmt/format.h>

#include "base/json_text.h"

namespace pie::model {
namespace {

std::string text_of(const ToolDescription& tool) {
  return fmt::format("{{\"name\": {}, \"description\": {}, \"parameters\": {}}}\n",
                     json_text(tool.name), json_text(tool.description),
                     tool.parameters.empty() ? "{}" : tool.parameters);
}

std::string text_of(const ToolCall& call) {
  return fmt::format("<tool_call>\n{{\"name\": {}, \"arguments\": {}}}\n</tool_call>",
                     json_text(call.name), call.arguments.empty() ? "{}" : call.arguments);
}

std::string words_about(const std::vector<ToolDescription>& tools) {
  std::string words = "These tools can be called; their parameters are JSON Schemas:\n";
  for (const ToolDescription& tool : tools) words += text_of(tool);
  return words +
         "To call one, write its name and arguments as JSON between <tool_call> and </tool_call>:\n"
         "<tool_call>\n{\"name\": \"the tool\", \"arguments\": {\"a parameter\": \"its value\"}}\n"
         "</tool_call>\nThe result comes between <tool_response> and </tool_response>.";
}

void append(std::string& text, const std::string& more, const char* between) {
  if (!text.empty() && !more.empty()) text += between;
  text += more;
}

}  // namespace

const char* const kTemplateOfWords =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% if m.tool_calls %}{% for c in m.tool_calls %}\n<tool_call>\n"
    "{\"name\": \"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments | tojson }}}\n"
    "</tool_call>{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if tools %}{% for t in tools %}{{ t | tojson }}{% endfor %}{% endif %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

Conversation with_tools_in_words(Conversation conversation) {
  std::vector<Turn> turns;
  for (Turn& turn : conversation.turns) {
    for (const ToolCall& call : turn.tool_calls) append(turn.content, text_of(call), "\n");
    turn.tool_calls.clear();
    const bool is_result = turn.role == "tool";
    if (is_result) {
      turn.role = "user";
      turn.content = "<tool_response>\n" + turn.content + "\n</tool_response>";
    }
    if (is_result && !turns.empty() && turns.back().content.ends_with("</tool_response>"))
      turns.back().content += "\n" + turn.content;
    else
      turns.push_back(std::move(turn));
  }
  if (!conversation.tools.empty() && conversation.tool_choice != ToolChoice::kNone) {
    if (turns.empty() || turns.front().role != "system") {
      turns.insert(turns.begin(), Turn());
      turns.front().role = "system";
    }
    append(turns.front().content, words_about(conversation.tools), "\n\n");
  }
  conversation.turns = std::move(turns);
  conversation.tools.clear();
  return conversation;
}

std::vector<Turn> with_alternating_roles(std::vector<Turn> turns) {
  std::vector<Turn> folded;
  for (Turn& turn : turns) {
    if (turn.role != "assistant" && !(folded.empty() && turn.role == "system")) turn.role = "user";
    if (folded.empty() || folded.back().role != turn.role) {
      folded.push_back(std::move(turn));
      continue;
    }
    append(folded.back().content, turn.content, "\n\n");
    append(folded.back().reasoning, turn.reasoning, "\n\n");
    for (ToolCall& call : turn.tool_calls) folded.back().tool_calls.push_back(std::move(call));
  }
  return folded;
}

}  // namespace pie::model
