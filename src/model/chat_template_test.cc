// Templates of model files are not trusted: what they may spend, and how messages reach them.
#include "model/chat_template.h"

#include <common/jinja/value.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <thread>

#include "model/bounded_run.h"
#include "model/jinja_template.h"

namespace pie::model {
namespace {

using ::testing::HasSubstr;

const std::vector<ChatMessage> kUser = {{"user", "hello"}};

std::string times(const std::string& text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

Result<std::string> render(const std::string& source, std::span<const ChatMessage> messages) {
  return make_jinja_template(source, "<s>", "</s>")->render(messages, PromptEnd::kAnswer);
}

long peak_kib() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST(ChatTemplateTest, a_template_without_end_is_an_error_of_its_own) {
  const std::vector<std::pair<std::string, std::string>> templates = {
      {"{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}", "MiB of stack"},
      {"{{ range(100000000) | length }}", "MiB of memory"},
      {"{% for i in range(3000) %}{% for j in range(3000) %}{% set x = i %}{% endfor %}"
       "{% endfor %}",
       "processor time"},
      {"{{ 'a' * 10000000000 }}", "MiB of memory"},
      {"{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}"
       "{% endfor %}{{ ns.s }}",
       "MiB of memory"},
      {times("{% if true %}", 10000) + times("{% endif %}", 10000), "MiB of stack"},
      {"{{ " + times("(", 50000) + "1" + times(")", 50000) + " }}", "more than 4000 tokens"},
      {"{{ " + times("[", 50000) + times("]", 50000) + " }}", "more than 4000 tokens"},
      {"{{ " + times("- ", 60000) + "1 }}", "more than 4000 tokens"},
      {"{{ f" + times("()", 60000) + " }}", "more than 4000 tokens"},
      {"{{ 'a'" + times("|e", 50000) + " }}", "more than 4000 tokens"},
      {"{{ a" + times(".b", 100000) + " }}", "more than 4000 tokens"},
      {"{{ " + times("not ", 50000) + "1 }}", "more than 4000 tokens"},
      {times("x", 300000), "expected at most 262144"},
  };
  const long before = peak_kib();
  for (const auto& [source, words] : templates) {
    const auto begin = std::chrono::steady_clock::now();
    const Result<std::string> rendered = render(source, kUser);
    ASSERT_FALSE(rendered.ok()) << source.substr(0, 60);
    EXPECT_THAT(rendered.error().message, HasSubstr(words)) << source.substr(0, 60);
    const auto took = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(std::chrono::duration<double>(took).count(), 30.0) << source.substr(0, 60);
  }
  EXPECT_LT(peak_kib() - before, 600'000) << "KiB; 22 GB in the past";
}

// Memory is bounded, but lists within lists are destroyed by recursion.
TEST(ChatTemplateTest, what_is_just_within_the_bounds_is_done) {
  EXPECT_EQ(render("{{ " + times("(", 1900) + "1" + times(")", 1900) + " }}", kUser).value(), "1");
  EXPECT_EQ(render("{{ 'a'" + times("|upper", 1900) + " }}", kUser).value(), "A");
  EXPECT_EQ(render("{{ " + times("not ", 3900) + "1 }}", kUser).value(), "True");
  EXPECT_EQ(render("{{ 1" + times("+1", 1900) + " }}", kUser).value(), "1901");
}

// Lists within lists are destroyed by recursion, which no allocation stops.
TEST(BoundedRunTest, the_stack_has_room_for_what_the_memory_can_nest) {
  const auto done = run_bounded({}, {}, [] {
    jinja::value nested = jinja::mk_val<jinja::value_array>();
    for (;;) {
      auto outer = jinja::mk_val<jinja::value_array>();
      outer->push_back(std::move(nested));
      nested = outer;
    }
  });
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().message, "more than 64 MiB of memory");
}

TEST(ChatTemplateTest, work_that_does_not_allocate_is_left_behind) {
  // A tuple of tuples of tuples ...: to ask whether it may be a key takes 2^60 looks.
  const auto chat = make_jinja_template(
      "{% if messages[0].content == 'spin' %}{% set ns = namespace(x=(1, 2)) %}"
      "{% for i in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}"
      "{% endif %}{{ messages[0].content }}",
      "", "");
  EXPECT_EQ(chat->render(kUser, PromptEnd::kAnswer).value(), "hello");
  const auto spun = chat->render(std::vector<ChatMessage>{{"user", "spin"}}, PromptEnd::kAnswer);
  ASSERT_FALSE(spun.ok());
  EXPECT_THAT(spun.error().message, HasSubstr("processor time"));
  EXPECT_EQ(chat->render(kUser, PromptEnd::kAnswer).value(), "hello");
}

TEST(ChatTemplateTest, rendering_stops_when_it_is_told) {
  const auto chat = make_jinja_template(
      "{% for a in messages %}{% for b in messages %}{% set x = a %}{% endfor %}{% endfor %}", "",
      "");
  const std::vector<ChatMessage> many(5000, {"user", "x"});
  std::stop_source source;
  source.request_stop();
  const auto stopped = chat->render(many, PromptEnd::kAnswer, source.get_token());
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
}

TEST(ChatTemplateTest, a_long_conversation_is_within_the_bounds) {
  const char* chatml =
      "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\n"
      "You are helpful<|im_end|>\n{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
      "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  EXPECT_TRUE(render(chatml, std::vector<ChatMessage>{{"user", std::string(1 << 20, 'x')}}).ok());
  const std::vector<ChatMessage> many(4000, {"user", std::string(200, 'x')});
  const auto rendered = render(chatml, many);
  EXPECT_TRUE(rendered.ok()) << rendered.error().message;
}

TEST(ChatTemplateTest, a_system_turn_goes_where_the_template_has_a_place_for_it) {
  const std::vector<ChatMessage> messages = {
      {"system", "Be brief."}, {"user", "Hi"}, {"assistant", "Yes?"}, {"user", "Bye"}};
  // As Gemma 2's and Mistral 7B v0.1's templates: the one names the role, the other counts turns.
  const std::string gemma =
      "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
      "{{ raise_exception('System role not supported') }}{% endif %}{% for m in messages %}"
      "<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
      "{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
      "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}";
  EXPECT_EQ(render(gemma, messages).value(),
            "<s><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nYes?"
            "<end_of_turn>\n<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n");
  const std::string mistral =
      "{{ bos_token }}{% for m in messages %}"
      "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
      "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') "
      "}}{% endif %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
      "{% elif m['role'] == 'assistant' %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}";
  EXPECT_EQ(render(mistral, messages).value(),
            "<s>[INST] Be brief.\n\nHi [/INST]Yes?</s>[INST] Bye [/INST]");
  EXPECT_EQ(render(mistral, std::vector<ChatMessage>{{"system", "A"}}).value(),
            "<s>[INST] A [/INST]");
  // What the template refuses for other reasons is still refused, in its own words.
  const auto twice = render(mistral, std::vector<ChatMessage>{{"user", "a"}, {"user", "b"}});
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(twice.error().message, HasSubstr("refuses: Conversation roles must alternate"));
  const std::string own = "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}";
  EXPECT_EQ(render(own, std::vector<ChatMessage>(messages.begin(), messages.begin() + 2)).value(),
            "[system:Be brief.][user:Hi]");
}

TEST(ChatTemplateTest, what_the_engine_does_not_know_is_not_blamed_on_the_messages) {
  for (const char* source : {"{{ messages | no_such_filter }}", "{{ messages is no_such_test }}",
                             "{{ no_such_function() }}"}) {
    const Result<std::string> rendered = render(source, kUser);
    ASSERT_FALSE(rendered.ok()) << source;
    EXPECT_EQ(rendered.error().code, ErrorCode::kUnsupported) << source;
    EXPECT_THAT(rendered.error().message, HasSubstr("template engine")) << source;
  }
}

TEST(BoundedRunTest, says_what_the_work_threw) {
  const auto done = run_bounded({}, {}, [] { throw std::runtime_error("words"); });
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().message, "words");
  EXPECT_TRUE(run_bounded({}, {}, [] {}).ok());
}

}  // namespace
}  // namespace pie::model
