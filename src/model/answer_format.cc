#include "model/answer_format.h"

#include <common/chat-peg-parser.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pie::model {
namespace {

constexpr size_t kDepthMax = 64;
constexpr size_t kKeyBytesMax = 256;
constexpr size_t kPatternBytesMax = 1024;

/// Of brackets outside of strings.
size_t depth_of(const std::string& text) {
  size_t depth = 0, deepest = 0;
  bool is_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_string) {
      if (c == '\\') ++i;
      if (c == '"') is_string = false;
    } else if (c == '"') {
      is_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

void check_keys(const std::string& what, const common_json& value) {
  if (value.is_array()) {
    for (const common_json& item : value) check_keys(what, item);
  } else if (value.is_object()) {
    for (const auto& [key, item] : value.items()) {
      if (key.size() > kKeyBytesMax)
        throw Mistake(fmt::format("[{}] got a key of {} bytes, expected at most {}", what,
                                  key.size(), kKeyBytesMax));
      const bool is_expanded = key == "$ref" || key == "pattern";
      if (is_expanded && item.is_string() && item.get<std::string>().size() > kPatternBytesMax)
        throw Mistake(fmt::format("[{}] got '{}' with {} bytes, expected at most {}", what, key,
                                  item.get<std::string>().size(), kPatternBytesMax));
      check_keys(what, item);
    }
  }
}

}  // namespace

common_json json_object(const std::string& what, const std::string& text) {
  if (const size_t depth = depth_of(text); depth > kDepthMax)
    throw Mistake(
        fmt::format("[{}] got JSON of {} levels, expected at most {}", what, depth, kDepthMax));
  common_json parsed = common_json::parse_no_throw(text);
  if (parsed.is_discarded() || !parsed.is_object())
    throw Mistake(
        fmt::format("[{}] got '{}', expected the text of a JSON object", what, text.substr(0, 64)));
  check_keys(what, parsed);
  return parsed;
}

AnswerFormat::AnswerFormat(const common_chat_params& params,
                           const std::vector<common_chat_tool>& tools, uint64_t id_seed)
    : params_(params), id_seed_(id_seed) {
  params_.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
  if (!params.parser.empty()) params_.parser.load(params.parser);
  if (tools.empty()) return;
  bare_calls_.format = COMMON_CHAT_FORMAT_PEG_NATIVE;
  bare_calls_.parser = build_chat_peg_parser([&](common_chat_peg_builder& p) {
    const common_peg_parser call =
        p.standard_json_tools("", "", common_chat_tools_to_json_oaicompat(tools), false, true);
    const common_peg_parser fenced = p.literal("```json") + p.space() + call + p.space() + "```";
    return p.space() + p.choice({fenced, call}) + p.space() + p.end();
  });
}

/// What is nothing but a bare call, or may become one, is no text.
common_chat_msg AnswerFormat::message_of(const std::string& text, TextEnd end) const {
  common_chat_msg message =
      common_chat_peg_parse(params_.parser, text, end == TextEnd::kGoesOn, params_);
  const size_t begin = message.content.find_first_not_of(" \n");
  if (bare_calls_.parser.empty() || !message.tool_calls.empty() || begin == std::string::npos)
    return message;
  const std::string said = message.content.substr(begin);
  const std::string fence = "```json";
  if (said[0] != '{' && !said.starts_with(fence.substr(0, said.size()))) return message;
  try {
    // Whole at once: what it looks like before its end says little.
    common_chat_msg bare = common_chat_peg_parse(bare_calls_.parser, said, false, bare_calls_);
    if (end == TextEnd::kWhole && bare.tool_calls.empty()) return message;
    message.content.clear();
    if (end == TextEnd::kWhole) message.tool_calls = std::move(bare.tool_calls);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception&) {
    return message;  // some other JSON
  }
  return message;
}

ParsedAnswer AnswerFormat::parse(const std::string& text, TextEnd end) const {
  common_chat_msg message = message_of(text, end);
  ParsedAnswer answer{std::move(message.content), std::move(message.reasoning_content), {}};
  for (common_chat_tool_call& call : message.tool_calls) {
    if (call.id.empty()) call.id = id_of(answer.calls.size());
    if (end == TextEnd::kWhole) {
      if (call.arguments.empty()) call.arguments = "{}";
      json_object(fmt::format("arguments of the call of {}", call.name), call.arguments);
    }
    answer.calls.push_back({std::move(call.id), std::move(call.name), std::move(call.arguments)});
  }
  return answer;
}

/// Nine letters and digits, as some templates demand.
std::string AnswerFormat::id_of(size_t call) const {
  constexpr std::string_view kSigns = "0123456789abcdefghijklmnopqrstuvwxyz";
  uint64_t bits = id_seed_ + call;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ULL;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebULL;
  bits ^= bits >> 31;
  std::string id;
  for (size_t i = 0; i < 9; ++i, bits /= kSigns.size()) id += kSigns[bits % kSigns.size()];
  return id;
}

}  // namespace pie::model
