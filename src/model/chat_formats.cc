#include "model/chat_formats.h"

#include <common/chat-auto-parser.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <new>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "model/answer_format.h"
#include "model/folded_turns.h"

namespace pie::model {
namespace {

constexpr size_t kToolsMax = 256;
constexpr size_t kNameBytesMax = 128;
/// What a parser has in memory, for each byte of its text.
constexpr size_t kFormatBytesFactor = 4;

bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                  std::string_view("_-./:").find(c) != std::string_view::npos;
         });
}

void check_tools(const std::vector<ToolDescription>& tools) {
  if (tools.size() > kToolsMax)
    throw Mistake(fmt::format("[tools] got {}, expected at most {}", tools.size(), kToolsMax));
  std::set<std::string> names;
  for (const ToolDescription& tool : tools) {
    if (!is_name(tool.name))
      throw Mistake(
          fmt::format("[tools] got the name '{}', expected 1 to {} letters, digits and _ - . / :",
                      tool.name.substr(0, kNameBytesMax), kNameBytesMax));
    if (!names.insert(tool.name).second)
      throw Mistake(fmt::format("[tools] got two of the name '{}', expected one", tool.name));
    if (!tool.parameters.empty())
      json_object(fmt::format("parameters of {}", tool.name), tool.parameters);
  }
}

common_chat_msg message_of(const Turn& turn) {
  if (turn.role.empty()) throw Mistake("[messages] got one without a role, expected user, say");
  common_chat_msg message;
  message.role = turn.role;
  message.content = turn.content;
  message.reasoning_content = turn.reasoning;
  message.tool_call_id = turn.tool_call_id;
  message.tool_name = turn.tool_name;
  for (const ToolCall& call : turn.tool_calls) {
    const std::string arguments = call.arguments.empty() ? "{}" : call.arguments;
    json_object(fmt::format("arguments of the call of {}", call.name.substr(0, kNameBytesMax)),
                arguments);
    message.tool_calls.push_back({call.name, arguments, call.id});
  }
  return message;
}

std::vector<common_chat_tool> tools_of(const Conversation& conversation) {
  std::vector<common_chat_tool> tools;
  for (const ToolDescription& tool : conversation.tools)
    tools.push_back(
        {tool.name, tool.description,
         tool.parameters.empty() ? R"({"type":"object","properties":{}})" : tool.parameters});
  return tools;
}

/// What is asked of a template; the conversation without its turns.
common_chat_templates_inputs inputs_of(const Conversation& conversation) {
  common_chat_templates_inputs inputs;
  inputs.add_generation_prompt = conversation.end == PromptEnd::kAnswer;
  inputs.tools = tools_of(conversation);
  switch (conversation.tool_choice) {
    case ToolChoice::kAuto: inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_AUTO; break;
    case ToolChoice::kNone: inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_NONE; break;
    case ToolChoice::kRequired: inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_REQUIRED; break;
  }
  inputs.parallel_tool_calls = conversation.has_parallel_calls;
  inputs.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
  if (conversation.template_arguments.empty()) return inputs;
  const common_json arguments = json_object("template arguments", conversation.template_arguments);
  for (const auto& [key, value] : arguments.items()) {
    inputs.chat_template_kwargs[key] = value.dump();
    if (key == "enable_thinking" && value.is_boolean()) inputs.enable_thinking = value.get<bool>();
  }
  return inputs;
}

/// What a format depends on, beside its template; `answer_begin` is the end of the prompt.
std::string key_of(const Conversation& conversation, const std::string& answer_begin) {
  std::string key =
      fmt::format("{} {} {} ", static_cast<int>(conversation.end),
                  static_cast<int>(conversation.tool_choice), conversation.has_parallel_calls);
  const auto add = [&key](const std::string& text) {
    key += fmt::format("{}:{}", text.size(), text);
  };
  add(answer_begin);
  add(conversation.template_arguments);
  for (const ToolDescription& tool : conversation.tools) {
    add(tool.name);
    add(tool.description);
    add(tool.parameters);
  }
  return key;
}

common_chat_params apply(const ChatFormats::Template& by, const Conversation& conversation) {
  common_chat_templates_inputs inputs = inputs_of(conversation);
  for (const Turn& turn : conversation.turns) inputs.messages.push_back(message_of(turn));
  if (!by.is_analysed) return common_chat_templates_apply(by.parsed.get(), inputs);
  // The prompt alone, which is the same with and without a format.
  inputs.force_pure_content = true;
  common_chat_params written = common_chat_templates_apply(by.parsed.get(), inputs);
  const std::string key = key_of(conversation, written.generation_prompt);
  FormatCache::Format format = by.known.find(key);
  if (!format) {
    inputs.force_pure_content = false;
    common_chat_params made = common_chat_templates_apply(by.parsed.get(), inputs);
    made.prompt.clear();
    format = std::make_shared<const common_chat_params>(std::move(made));
    by.known.add(key, format);
  }
  common_chat_params whole = *format;
  whole.prompt = std::move(written.prompt);
  return whole;
}

/// Whether llama.cpp has no format for the template and finds one out.
bool has_to_be_analysed(const std::string& source, const std::string& bos, const std::string& eos) {
  const common_chat_template known(source, bos, eos);
  autoparser::generation_params params;
  params.messages = common_json::array({common_json{{"role", "user"}, {"content", "Hello."}}});
  try {
    return !common_chat_try_specialized_template(known, source, params);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception&) {
    return false;  // it has one, which refuses this
  }
}

/// As the turns are, else as the template may take them.
common_chat_params apply_somehow(const ChatFormats::Template& by,
                                 const Conversation& conversation) {
  try {
    return apply(by, conversation);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const Mistake&) {
    throw;
  } catch (const std::exception& refusal) {
    Conversation folded = conversation;
    folded.turns = with_alternating_roles(std::move(folded.turns));
    const std::string words = refusal.what();
    try {
      return apply(by, folded);
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception&) {
      throw std::runtime_error(words);
    }
  }
}

ToolGrammar::Trigger::Kind kind_of(common_grammar_trigger_type type) {
  switch (type) {
    case COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN: return ToolGrammar::Trigger::Kind::kToken;
    case COMMON_GRAMMAR_TRIGGER_TYPE_WORD: return ToolGrammar::Trigger::Kind::kWord;
    case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN: return ToolGrammar::Trigger::Kind::kPattern;
    case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL: return ToolGrammar::Trigger::Kind::kWholePattern;
  }
  return ToolGrammar::Trigger::Kind::kWord;
}

/// FNV-1a: one conversation's ids are others than those of the one before it.
uint64_t hash_of(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

/// What the rule `root` of a grammar of llama.cpp's stands for; each of its rules is a line.
std::string_view root_of(std::string_view grammar) {
  constexpr std::string_view kRoot = "root ::= ";
  size_t at = grammar.starts_with(kRoot) ? 0 : grammar.find("\n" + std::string(kRoot));
  if (at == std::string_view::npos) return {};
  at = grammar.find(kRoot, at) + kRoot.size();
  return grammar.substr(at, grammar.find('\n', at) - at);
}

bool has_rule(std::string_view grammar, const std::string& name) {
  return grammar.starts_with(name + " ::= ") ||
         grammar.find("\n" + name + " ::= ") != std::string_view::npos;
}

/// The grammar of an answer that is calls and nothing else. llama.cpp's own for that begins with
/// the end of the prompt and lets any text come before the calls; its `lazy` one, for where a model
/// may call, begins with the rules of the calls.
std::string grammar_of_calls(std::string whole, std::string_view lazy, bool may_be_several) {
  constexpr std::string_view kOneCall = "tool-call", kOr = " | ";
  const std::string_view root = root_of(whole);
  std::string calls(root_of(lazy));
  bool has_one_call = false;
  for (std::string_view rest = calls; !rest.empty();) {
    const std::string name(rest.substr(0, rest.find(kOr)));
    if (!has_rule(whole, name)) return whole;
    has_one_call = has_one_call || name == kOneCall;
    rest.remove_prefix(std::min(rest.size(), name.size() + kOr.size()));
  }
  if (calls.empty() || root.empty()) return whole;
  if (has_one_call && !may_be_several) calls = kOneCall;
  whole.replace(static_cast<size_t>(root.data() - whole.data()), root.size(), calls);
  return whole;
}

bool knows_tools(const common_chat_templates* templates) {
  const auto caps = common_chat_templates_get_caps(templates);
  const auto has = [&](const char* name) {
    const auto found = caps.find(name);
    return found != caps.end() && found->second;
  };
  return has("supports_tools") && has("supports_tool_calls");
}

bool speaks_of_tools(const Conversation& conversation) {
  return !conversation.tools.empty() ||
         std::any_of(conversation.turns.begin(), conversation.turns.end(), [](const Turn& turn) {
           return turn.role == "tool" || !turn.tool_calls.empty();
         });
}

}  // namespace

ChatFormats::Template::Template(const std::string& source, const std::string& bos,
                                const std::string& eos)
    : parsed(common_chat_templates_init(nullptr, source, bos, eos)),
      is_analysed(has_to_be_analysed(source, bos, eos)) {}

ChatFormats::ChatFormats(const std::string& source, const std::string& bos, const std::string& eos)
    : template_(source, bos, eos) {
  if (!knows_tools(template_.parsed.get()))
    words_ = std::make_unique<const Template>(kTemplateOfWords, "", "");
}

RenderedConversation ChatFormats::render(const Conversation& conversation,
                                         SystemPlace place) const {
  check_tools(conversation.tools);
  const bool is_in_words = words_ != nullptr && speaks_of_tools(conversation);
  Conversation taken = is_in_words ? with_tools_in_words(conversation) : conversation;
  if (place == SystemPlace::kUserTurn)
    taken.turns = without_system_turns(std::span<const Turn>(taken.turns));
  const common_chat_params made = apply_somehow(template_, taken);
  common_chat_params format = made;
  Conversation asked = std::move(taken);
  const bool is_of_words = is_in_words && !conversation.tools.empty();
  if (is_of_words) {
    asked = conversation;
    asked.turns.assign(1, Turn());
    asked.turns.front().role = "user";
    format = apply(*words_, asked);
  }
  if (asked.tool_choice == ToolChoice::kRequired && !format.grammar.empty()) {
    asked.tool_choice = ToolChoice::kAuto;
    const common_chat_params lazy =
        is_of_words ? apply(*words_, asked) : apply_somehow(template_, asked);
    format.grammar =
        grammar_of_calls(std::move(format.grammar), lazy.grammar, conversation.has_parallel_calls);
  }
  RenderedConversation rendered;
  rendered.prompt = made.prompt;
  rendered.answer_begin = made.generation_prompt;
  rendered.stops = made.additional_stops;
  if (!format.grammar.empty()) {
    rendered.grammar = ToolGrammar{format.grammar, format.grammar_lazy, {}};
    for (const common_grammar_trigger& trigger : format.grammar_triggers)
      rendered.grammar->triggers.push_back({kind_of(trigger.type), trigger.value});
  }
  const bool may_call = conversation.tool_choice != ToolChoice::kNone;
  rendered.format = std::make_shared<AnswerFormat>(
      format, may_call ? tools_of(conversation) : std::vector<common_chat_tool>(),
      hash_of(made.prompt));
  rendered.format_bytes =
      sizeof(AnswerFormat) + kFormatBytesFactor * (format.parser.size() + format.grammar.size());
  return rendered;
}

}  // namespace pie::model
