// Prompts with tools and answers parsed back, by templates of several families.
#include "model/conversation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "model/answer_parser.h"
#include "model/jinja_template.h"
#include "model/model.h"
#include "support/test_model.h"

namespace pie::model {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Turn turn(const char* role, std::string content) {
  Turn made;
  made.role = role;
  made.content = std::move(content);
  return made;
}

Conversation weather() {
  Conversation asked;
  asked.turns = {turn("system", "Be brief."), turn("user", "How is the weather in Paris?")};
  asked.tools = {{"get_weather", "The weather at a place.",
                  R"({"type":"object","properties":{"place":{"type":"string"},)"
                  R"("days":{"type":"integer"}},"required":["place"]})"},
                 {"now", "The time.", ""}};
  return asked;
}

std::unique_ptr<ChatTemplate> published(const std::string& name) {
  std::ifstream file(std::filesystem::path(PIE_CHAT_TEMPLATES) / (name + ".jinja"));
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return make_jinja_template(text.str(), "<s>", "</s>");
}

/// How the template writes a further turn of the assistant, without what ends every turn.
std::string written(const ChatTemplate& chat, Conversation asked, Turn answer) {
  asked.end = PromptEnd::kAnswer;
  const std::string before = chat.render(asked).value().prompt;
  const auto turn_of = [&](Turn said) {
    Conversation all = asked;
    all.end = PromptEnd::kNothing;
    all.turns.push_back(std::move(said));
    std::string prompt = chat.render(all).value().prompt;
    EXPECT_TRUE(prompt.starts_with(before)) << prompt;
    return prompt.substr(before.size());
  };
  std::string plain = turn_of(turn("assistant", "PLAIN"));
  const std::string end = plain.substr(plain.find("PLAIN") + 5);
  std::string all = turn_of(std::move(answer));
  // A turn that calls ends by a token of its own with some.
  if (all.ends_with(end)) return all.substr(0, all.size() - end.size());
  EXPECT_TRUE(all.ends_with("|>")) << all;
  return all.substr(0, all.rfind("<|"));
}

AnswerEnd parsed(const RenderedConversation& rendered, const std::string& text) {
  AnswerParser parser(rendered.format);
  parser.add(text);
  auto end = parser.finish({}, nullptr);
  EXPECT_TRUE(end.ok()) << text << "\n" << end.error().message;
  return end.ok() ? *end : AnswerEnd();
}

/// What is told piece by piece, put together; `pieces` of so many bytes.
ParsedAnswer streamed(const RenderedConversation& rendered, const std::string& text,
                      size_t piece_bytes) {
  AnswerParser parser(rendered.format);
  ParsedAnswer told;
  const auto take = [&](const std::vector<AnswerDelta>& deltas) {
    for (const AnswerDelta& delta : deltas) {
      switch (delta.kind) {
        case AnswerDelta::Kind::kText: told.text += delta.text; break;
        case AnswerDelta::Kind::kReasoning: told.reasoning += delta.text; break;
        case AnswerDelta::Kind::kCall:
          EXPECT_EQ(delta.call, told.calls.size());
          told.calls.push_back({delta.id, delta.text, {}});
          break;
        case AnswerDelta::Kind::kArguments:
          told.calls.at(delta.call).arguments += delta.text;
          break;
      }
    }
  };
  size_t looks = 0;
  for (size_t at = 0; at < text.size(); at += piece_bytes) {
    if (parser.add(text.substr(at, piece_bytes)) == AnswerParser::Next::kMore) continue;
    ++looks;
    take(parser.advance({}, nullptr).value());
  }
  EXPECT_LE(looks, 1 + text.size() / 16);
  take(parser.finish({}, nullptr).value().rest);
  return told;
}

const std::vector<std::string> kFamilies = {"Qwen-Qwen2.5-7B-Instruct",
                                            "Qwen-Qwen3-0.6B",
                                            "Qwen3-Coder",
                                            "moonshotai-Kimi-K2",
                                            "openai-gpt-oss-120b",
                                            "meetkai-functionary-medium-v3.1",
                                            "GLM-4.6",
                                            "google-gemma-2-2b-it",
                                            "meta-llama-Llama-3.1-8B-Instruct",
                                            "Apertus-8B-Instruct",
                                            "ibm-granite-granite-4.0",
                                            "microsoft-Phi-3.5-mini-instruct",
                                            "ByteDance-Seed-OSS",
                                            "NousResearch-Hermes-3-Llama-3.1-8B-tool_use"};

TEST(ConversationTest, a_call_is_read_back_as_the_template_writes_it) {
  for (const std::string& name : kFamilies) {
    SCOPED_TRACE(name);
    const auto chat = published(name);
    const Conversation asked = weather();
    const RenderedConversation rendered = chat->render(asked).value();
    EXPECT_THAT(rendered.prompt, HasSubstr("get_weather"));
    EXPECT_THAT(rendered.prompt, HasSubstr("How is the weather in Paris?"));
    Turn answer = turn("assistant", "");
    answer.tool_calls = {{"abc123456", "get_weather", R"({"place": "Paris \"é\"", "days": 2})"}};
    const std::string text = written(*chat, asked, answer);
    const AnswerEnd end = parsed(rendered, text);
    ASSERT_EQ(end.answer.calls.size(), 1) << text;
    EXPECT_EQ(end.answer.calls[0].name, "get_weather");
    EXPECT_THAT(end.answer.calls[0].arguments, HasSubstr("Paris \\\"é\\\""));
    EXPECT_EQ(end.answer.text, "") << text;
    EXPECT_EQ(streamed(rendered, text, 1), end.answer) << text;
    EXPECT_EQ(streamed(rendered, text, 23), end.answer) << text;
  }
}

TEST(ConversationTest, a_plain_answer_is_its_text) {
  for (const std::string& name : kFamilies) {
    SCOPED_TRACE(name);
    const auto chat = published(name);
    const RenderedConversation rendered = chat->render(weather()).value();
    const std::string said = "It is sunny, and 3 < 4.";
    const std::string text = written(*chat, weather(), turn("assistant", said));
    EXPECT_EQ(parsed(rendered, text).answer.text, said) << text;
    EXPECT_EQ(streamed(rendered, text, 3).text, said);
  }
}

TEST(ConversationTest, results_reach_the_prompt) {
  for (const std::string& name : kFamilies) {
    SCOPED_TRACE(name);
    Conversation asked = weather();
    asked.turns.push_back(turn("assistant", ""));
    asked.turns.back().tool_calls = {{"abc123456", "get_weather", R"({"place":"Paris"})"}};
    asked.turns.push_back(turn("tool", "RESULT-17-DEGREES"));
    asked.turns.back().tool_call_id = "abc123456";
    asked.turns.back().tool_name = "get_weather";
    const auto rendered = published(name)->render(asked);
    ASSERT_TRUE(rendered.ok()) << rendered.error().message;
    EXPECT_THAT(rendered->prompt, HasSubstr("RESULT-17-DEGREES"));
  }
}

TEST(ConversationTest, reasoning_is_told_apart) {
  const auto chat = published("Qwen-Qwen3-0.6B");
  Conversation asked = weather();
  const RenderedConversation open = chat->render(asked).value();
  const std::string text = "<think>\nI wonder.\n</think>\n\nIt rains.";
  const ParsedAnswer answer = parsed(open, text).answer;
  EXPECT_THAT(answer.reasoning, HasSubstr("I wonder."));
  EXPECT_EQ(answer.text, "It rains.");
  EXPECT_EQ(streamed(open, text, 5), answer);
  asked.template_arguments = R"({"enable_thinking": false})";
  const RenderedConversation closed = chat->render(asked).value();
  EXPECT_TRUE(closed.prompt.ends_with("<think>\n\n</think>\n\n")) << closed.prompt;
  EXPECT_THAT(open.prompt, Not(HasSubstr("<think>")));
  EXPECT_EQ(parsed(closed, "It rains.").answer.text, "It rains.");
}

TEST(ConversationTest, several_calls_have_ids_of_their_own) {
  Conversation asked = weather();
  asked.has_parallel_calls = true;
  const RenderedConversation rendered =
      published("Qwen-Qwen2.5-7B-Instruct")->render(asked).value();
  const std::string text =
      "Let me look.\n<tool_call>\n{\"name\": \"now\", \"arguments\": "
      "{}}\n</tool_call>\n<tool_call>\n"
      "{\"name\": \"get_weather\", \"arguments\": {\"place\": \"Rome\"}}\n</tool_call>";
  const ParsedAnswer answer = parsed(rendered, text).answer;
  ASSERT_EQ(answer.calls.size(), 2);
  EXPECT_EQ(answer.calls[1].name, "get_weather");
  EXPECT_NE(answer.calls[0].id, answer.calls[1].id);
  EXPECT_EQ(answer.calls[0].id.size(), 9);
  EXPECT_THAT(answer.text, HasSubstr("Let me look."));
  EXPECT_EQ(streamed(rendered, text, 1).calls, answer.calls);
}

TEST(ConversationTest, a_call_without_its_markers_is_one_when_it_is_the_whole_answer) {
  const RenderedConversation rendered =
      published("Qwen-Qwen2.5-7B-Instruct")->render(weather()).value();
  const std::string call = R"({"name": "get_weather", "arguments": {"place": "Rome"}})";
  for (const std::string& text : {call, "```json\n" + call + "\n```"}) {
    const ParsedAnswer answer = parsed(rendered, text).answer;
    ASSERT_EQ(answer.calls.size(), 1) << text;
    EXPECT_EQ(answer.calls[0].arguments, R"({"place": "Rome"})");
    EXPECT_EQ(answer.text, "");
    EXPECT_EQ(streamed(rendered, text, 1), answer) << text;
  }
  for (const std::string text : {"{\"place\": \"Rome\"}", "```python\nprint(1)\n```", "{",
                                 "{\"name\": \"no_such_tool\", \"arguments\": {}}"}) {
    EXPECT_EQ(parsed(rendered, text).answer.text, text);
    EXPECT_EQ(streamed(rendered, text, 1).text, text);
  }
}

TEST(ConversationTest, a_grammar_of_calls_comes_with_the_prompt) {
  Conversation asked = weather();
  const auto chat = published("Qwen-Qwen2.5-7B-Instruct");
  const auto lazy = chat->render(asked).value().grammar;
  ASSERT_TRUE(lazy);
  EXPECT_TRUE(lazy->is_lazy);
  ASSERT_FALSE(lazy->triggers.empty());
  EXPECT_THAT(lazy->triggers[0].text, HasSubstr("<tool_call>"));
  EXPECT_THAT(lazy->text, HasSubstr("root ::="));
  asked.tool_choice = ToolChoice::kRequired;
  EXPECT_FALSE(chat->render(asked).value().grammar->is_lazy);
  asked.tool_choice = ToolChoice::kNone;
  EXPECT_FALSE(chat->render(asked).value().grammar);
}

TEST(ConversationTest, an_answer_that_has_to_be_a_call_is_nothing_else) {
  const auto without_tools = make_jinja_template(
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
      "", "");
  const auto with_tools = published("Qwen-Qwen2.5-7B-Instruct");
  for (const auto* chat : {&without_tools, &with_tools}) {
    Conversation asked = weather();
    asked.tool_choice = ToolChoice::kRequired;
    const std::string one = (*chat)->render(asked).value().grammar->text;
    EXPECT_THAT(one, HasSubstr("\nroot ::= tool-call\n"));
    EXPECT_THAT(one, HasSubstr("\ntool-call ::= \"<tool_call>\\n\""));
    asked.has_parallel_calls = true;
    EXPECT_THAT((*chat)->render(asked).value().grammar->text,
                HasSubstr("\nroot ::= tool-call | tool-calls\n"));
  }
}

TEST(ConversationTest, roles_that_a_template_refuses_are_folded) {
  const auto chat = make_jinja_template(
      "{% for m in messages %}{% if m['role'] != ('assistant' if loop.index0 % 2 else 'user') %}"
      "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
      "[{{ m['role'] }}:{{ m['content'] }}]{% endfor %}",
      "", "");
  Conversation asked = weather();
  asked.turns.push_back(turn("assistant", ""));
  asked.turns.back().tool_calls = {{"1", "now", "{}"}};
  asked.turns.push_back(turn("tool", "noon"));
  asked.turns.push_back(turn("critic", "Hurry."));
  const auto rendered = chat->render(asked);
  ASSERT_TRUE(rendered.ok()) << rendered.error().message;
  EXPECT_THAT(rendered->prompt, HasSubstr("[user:Be brief."));
  EXPECT_THAT(rendered->prompt, HasSubstr("\"name\": \"get_weather\""));
  EXPECT_THAT(rendered->prompt, HasSubstr("[assistant:<tool_call>"));
  EXPECT_THAT(rendered->prompt, HasSubstr("noon\n</tool_response>\n\nHurry.]"));
  EXPECT_EQ(parsed(*rendered, "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>")
                .answer.calls.size(),
            1);
  // What is refused for another reason is refused in the template's words.
  const auto strict = make_jinja_template("{{ raise_exception('never') }}", "", "");
  const auto refused = strict->render(weather());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("refuses: never"));
}

TEST(ConversationTest, the_models_that_are_here_have_their_formats) {
  for (const auto& path : {test::model_path(), test::coder_path()}) {
    SCOPED_TRACE(path);
    const auto model = Model::load(path).value();
    const ChatTemplate& chat = model->chat_template();
    Conversation plain;
    plain.turns = {turn("system", "Be brief."), turn("user", "Hi")};
    const auto first = chat.render(plain);
    ASSERT_TRUE(first.ok()) << first.error().message;
    EXPECT_EQ(first->prompt,
              chat.render(std::vector<ChatMessage>{{"system", "Be brief."}, {"user", "Hi"}},
                          PromptEnd::kAnswer)
                  .value());
    const auto rendering = chat.render(weather());
    ASSERT_TRUE(rendering.ok()) << rendering.error().message;
    const RenderedConversation& rendered = *rendering;
    Turn answer = turn("assistant", "");
    answer.tool_calls = {{"", "get_weather", R"({"place": "Paris"})"}};
    const AnswerEnd end = parsed(rendered, written(chat, weather(), answer));
    ASSERT_EQ(end.answer.calls.size(), 1);
    EXPECT_EQ(end.answer.calls[0].arguments, R"({"place": "Paris"})");
  }
}

/// A template that has seen other conversations gives what a fresh one gives.
TEST(ConversationTest, what_was_rendered_before_changes_nothing) {
  Conversation plain = weather(), longer = weather(), none = weather(), silent = weather();
  plain.tools.clear();
  longer.turns.push_back(turn("assistant", "Sunny."));
  longer.turns.push_back(turn("user", "And in Rome?"));
  none.tool_choice = ToolChoice::kNone;
  silent.template_arguments = R"({"enable_thinking": false})";
  for (const std::string& name : kFamilies) {
    SCOPED_TRACE(name);
    const auto used = published(name);
    for (const Conversation* warm : {&plain, &longer, &none, &silent})
      ASSERT_TRUE(used->render(*warm).ok());
    for (const Conversation* asked : {&plain, &longer, &none, &silent}) {
      const auto again = used->render(*asked), fresh = published(name)->render(*asked);
      ASSERT_TRUE(again.ok() && fresh.ok());
      EXPECT_EQ(again->prompt, fresh->prompt);
      EXPECT_EQ(again->answer_begin, fresh->answer_begin);
      EXPECT_EQ(again->stops, fresh->stops);
      EXPECT_EQ(again->grammar.has_value(), fresh->grammar.has_value());
      if (again->grammar) {
        EXPECT_EQ(again->grammar->text, fresh->grammar->text);
      }
      EXPECT_EQ(again->format_bytes, fresh->format_bytes);
    }
  }
}

TEST(ConversationTest, mistakes_are_named) {
  const auto chat = published("Qwen-Qwen2.5-7B-Instruct");
  const auto message = [&](const auto& change) {
    Conversation asked = weather();
    change(asked);
    const auto rendered = chat->render(asked);
    EXPECT_FALSE(rendered.ok());
    return rendered.ok() ? "" : rendered.error().message;
  };
  EXPECT_THAT(message([](auto& c) { c.tools[0].name = "a b"; }), HasSubstr("[tools] got the name"));
  EXPECT_THAT(message([](auto& c) { c.tools[1].name = c.tools[0].name; }), HasSubstr("two of"));
  EXPECT_THAT(message([](auto& c) { c.tools[0].parameters = "[1]"; }),
              HasSubstr("[parameters of get_weather] got '[1]'"));
  EXPECT_THAT(message([](auto& c) { c.tools[0].parameters = std::string(100'000, '['); }),
              HasSubstr("100000 levels"));
  EXPECT_THAT(message([](auto& c) {
                c.tools[0].parameters = "{\"properties\":{\"" + std::string(300, '!') + "\":{}}}";
              }),
              HasSubstr("key of 300 bytes"));
  EXPECT_THAT(message([](auto& c) { c.template_arguments = "no"; }),
              HasSubstr("[template arguments] got 'no'"));
  EXPECT_THAT(message([](auto& c) { c.turns[1].role = ""; }), HasSubstr("without a role"));
  EXPECT_THAT(message([](auto& c) { c.turns[1].tool_calls = {{"", "now", "{"}}; }),
              HasSubstr("[arguments of the call of now] got '{'"));
}

TEST(ConversationTest, an_answer_that_is_cut_off_or_wrong_is_an_error_at_its_end) {
  const RenderedConversation rendered =
      published("Qwen-Qwen2.5-7B-Instruct")->render(weather()).value();
  for (const char* text :
       {"<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"place\": \"Par",
        "<tool_call>\n{\"name\": \"no_such_tool\", \"arguments\": {}}\n</tool_call>"}) {
    AnswerParser parser(rendered.format);
    parser.add(text);
    EXPECT_TRUE(parser.advance({}, nullptr).ok()) << text;
    const auto end = parser.finish({}, nullptr);
    ASSERT_FALSE(end.ok()) << text;
    EXPECT_EQ(end.error().code, ErrorCode::kInvalidArgument);
  }
}

std::string times(const std::string& text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

TEST(ConversationTest, hostile_answers_end_within_the_bounds) {
  for (const std::string& name : kFamilies) {
    SCOPED_TRACE(name);
    const auto chat = published(name);
    const RenderedConversation rendered = chat->render(weather()).value();
    const std::string call = R"(<tool_call>{"name": "get_weather", "arguments": {"place": )";
    for (const std::string& text :
         {times("[", 500'000), call + times("[", 500'000), call + times("{\"a\":", 150'000),
          call + "\"" + times("\\", 500'001), times("<", 500'000), times("<tool_call>", 50'000),
          times("<think>", 70'000), times(call, 8'000), times("<|channel|>", 40'000),
          times("<function=get_weather>", 20'000), times(" ", 500'000)}) {
      AnswerParser parser(rendered.format);
      parser.add(text);
      uint64_t cpu_ns = 0;
      (void)parser.advance({}, &cpu_ns);
      (void)parser.finish({}, &cpu_ns);
      EXPECT_LT(cpu_ns, 3'000'000'000U) << text.substr(0, 80);
    }
  }
}

TEST(ConversationTest, an_answer_may_not_nest_without_end) {
  const RenderedConversation rendered =
      published("Qwen-Qwen2.5-7B-Instruct")->render(weather()).value();
  AnswerParser parser(rendered.format);
  parser.add("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": " + times("[", 900'000));
  const auto end = parser.finish({}, nullptr);
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(end.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(end.error().message, HasSubstr("MiB of stack"));
}

TEST(ConversationTest, hostile_tools_end_within_the_bounds) {
  const auto chat = published("Qwen-Qwen2.5-7B-Instruct");
  const auto reference = R"({"$ref":"#/$defs/a"})";
  for (const std::string& schema :
       {"{\"type\":\"object\",\"properties\":{" + times("\"a\":{\"type\":\"string\"},", 20'000) +
            "\"b\":{}}}",
        std::string(R"({"$defs":{"a":{"anyOf":[)") + reference + "," + reference +
            R"(]}},"$ref":"#/$defs/a"})",
        std::string(R"({"type":"string","pattern":")") + times("(", 500) + times(")*", 500) + "\"}",
        std::string(R"({"type":"string","minLength":1000000000})"),
        std::string(
            R"({"type":"array","minItems":1000000000,"items":{"type":"array","minItems":)") +
            "1000000000}}",
        std::string(R"({"type":"integer","minimum":-1e300,"maximum":1e300})"),
        times("{\"items\":", 60) + "{}" + times("}", 60),
        std::string(R"({"$ref":"http://192.0.2.1/x"})")}) {
    Conversation asked = weather();
    asked.tools[0].parameters = schema;
    uint64_t cpu_ns = 0;
    const auto rendered = chat->render(asked, {}, &cpu_ns);
    if (!rendered.ok()) {
      EXPECT_THAT(rendered.error().message, HasSubstr("got"));
    }
    EXPECT_LT(cpu_ns, 3'000'000'000U) << schema.substr(0, 80);
  }
}

}  // namespace
}  // namespace pie::model
