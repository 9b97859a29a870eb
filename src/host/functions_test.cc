// What programs see of the interfaces, through a real component on the real runtime.
#include <gtest/gtest.h>

#include <algorithm>

#include "host/test_host.h"
#include "model/tokenizer.h"

namespace pie::host::test {
namespace {

using Texts = std::vector<std::string>;

struct FunctionsTest : HostTest {
  /// Runs a scenario that completes; what it sent.
  Texts sent_by(Texts arguments) {
    Run run;
    End end = run_to_end(std::move(arguments), &run);
    EXPECT_EQ(end.kind, EndKind::kCompleted) << end.message;
    return run.ports->messages();
  }
};

TEST_F(FunctionsTest, results_are_taken_once_and_a_pass_can_be_filled_again) {
  Run run = launch({"forward"});
  auto first = engine->next_pass();
  ASSERT_EQ(first.pass.inputs.size(), 3U);
  EXPECT_EQ(first.pass.inputs[2].token, 5U);
  EXPECT_EQ(first.pass.inputs[2].position, 2U);
  EXPECT_EQ(first.pass.pages, std::vector<VirtualPage>{VirtualPage(0)});
  EXPECT_EQ(first.pass.last_page_len, 3U);
  EXPECT_FALSE(first.pass.mask.has_value());
  ASSERT_EQ(first.pass.tokens.size(), 1U);
  EXPECT_EQ(first.pass.tokens[0].index, 2U);
  ASSERT_EQ(first.pass.distributions.size(), 1U);
  EXPECT_EQ(first.pass.distributions[0].top_k, 2U);
  ASSERT_TRUE(wait_for_messages(run, 1));  // asked before it is ready
  first.done(engine::ForwardOutput{{42}, {{{42, 7}, {0.75F, 0.25F}}}});

  auto second = engine->next_pass();
  EXPECT_EQ(second.pass.inputs.size(), 2U);  // nothing left of the first
  EXPECT_TRUE(second.pass.distributions.empty());
  second.done(engine::ForwardOutput{{43}, {}});

  auto third = engine->next_pass();
  EXPECT_TRUE(third.pass.pages.empty());
  EXPECT_TRUE(third.pass.tokens.empty());
  third.done(engine::ForwardOutput{});

  EXPECT_EQ(wait_for_end(run).message, "done");
  EXPECT_EQ(run.ports->messages(),
            (Texts{"before: none", "tokens: [42]", "again: []", "ids: 42,7", "left: 0",
                   "second: [43]", "distributions: 0", "nothing asked for"}));
}

TEST_F(FunctionsTest, logits_are_ruled_and_read) {
  Run run = launch({"logits"});
  auto asked = engine->next_pass();
  const engine::ForwardPass& pass = asked.pass;
  ASSERT_EQ(pass.rules.size(), 3U);
  EXPECT_EQ(pass.rules[0].rules, pass.rules[2].rules) << "of the indices of the same calls";
  const sample::LogitRules& rules = *pass.rules[2].rules;
  EXPECT_TRUE(rules.allows(4) && rules.allows(9) && !rules.allows(5));
  EXPECT_TRUE(!pass.rules[1].rules->allows(4) && pass.rules[1].rules->allows(5));
  EXPECT_EQ(rules.bias, (std::vector<std::pair<TokenId, float>>{{4, 1.5F}, {9, -2.0F}}));
  ASSERT_EQ(rules.penalties.size(), 2U);
  EXPECT_EQ(rules.penalties[0].divisor, 2.0F);
  EXPECT_EQ(rules.penalties[0].subtrahend, 2.0F) << "it was there twice";
  EXPECT_EQ(rules.penalties[1].subtrahend, 1.5F);
  ASSERT_EQ(pass.tokens.size(), 3U);  // the first is inferlet:core/forward's
  EXPECT_FALSE(pass.tokens[0].draw || pass.tokens[0].wants_details);
  EXPECT_EQ(pass.tokens[2].index, 0U);
  EXPECT_EQ(pass.tokens[2].draw->seed, 77U);
  EXPECT_EQ(pass.tokens[2].draw->position, 6U) << "the second index takes the next number";
  EXPECT_EQ(pass.tokens[2].sampler.typical_p, 0.9F);
  EXPECT_EQ(pass.tokens[2].sampler.xtc_probability, 0.25F);
  EXPECT_EQ(pass.tokens[2].sampler.surprise_max, 8.0F);
  ASSERT_EQ(pass.logits.size(), 3U);
  EXPECT_EQ(pass.logits[2].best, 0U);
  EXPECT_EQ(pass.scores.at(0).tokens, (std::vector<TokenId>{4, 4, 9}));
  EXPECT_EQ(pass.entropies, (std::vector<uint32_t>{2, 0}));
  ASSERT_TRUE(wait_for_messages(run, 2));
  asked.done(
      engine::ForwardOutput{.tokens = {1, 2, 3},
                            .details = {{-1, 0.5F}, {-2, 1.5F}},
                            .logits = {{{8, 7}, {3, 2}}, {{6, 5}, {1, 0}}, {{}, {0.25F, 9, 9}}},
                            .scores = {{-1, -2, -3}},
                            .entropies = {4, 5}});
  auto second = engine->next_pass();
  EXPECT_TRUE(second.pass.rules.empty() && second.pass.logits.empty());
  second.done(engine::ForwardOutput{.entropies = {1}});
  EXPECT_EQ(wait_for_end(run).message, "done");
  const std::string vocab = std::to_string(engine->model().info().vocab_size);
  EXPECT_EQ(run.ports->messages(),
            (Texts{"refused: [tokens] got token id 4000000000, expected < " + vocab, "none yet",
                   "row [8,7] 3.000000", "row [6,5] 1.000000", "row [] 0.250000",
                   "scores [4,4,9] -3.000000", "entropy 5.000000", "surprise 0.500000", "left 0",
                   "a result for an entropy alone"}));
}

TEST_F(FunctionsTest, a_matcher_constrains_passes_and_refuses_by_result) {
  Run run = launch({"grammar"});
  const auto first = engine->next_pass();
  ASSERT_EQ(first.pass.rules.size(), 1U);
  EXPECT_EQ(first.pass.rules[0].index, 1U);
  const model::Tokenizer& tokenizer = engine->model().tokenizer();
  const auto is_allowed = [&](const engine::ForwardPass& pass, std::string_view text) {
    const auto tokens = tokenizer.tokenize(text);
    EXPECT_EQ(tokens.size(), 1U) << text;
    return pass.rules.at(0).rules->allows(tokens.at(0));
  };
  // Nothing but the brace may begin it, and nothing may end it yet.
  EXPECT_TRUE(is_allowed(first.pass, "{"));
  EXPECT_FALSE(is_allowed(first.pass, "["));
  EXPECT_FALSE(is_allowed(first.pass, "true"));
  EXPECT_FALSE(is_allowed(first.pass, "<|im_end|>"));
  EXPECT_FALSE(first.pass.rules[0].rules->allows(0));  // what the program forbade
  const auto second = engine->next_pass();
  EXPECT_TRUE(is_allowed(second.pass, "<|im_end|>"));
  EXPECT_FALSE(is_allowed(second.pass, "<|im_start|>"));
  EXPECT_FALSE(is_allowed(second.pass, "{"));
  EXPECT_EQ(wait_for_end(run).message, "done");
  const Texts said = run.ports->messages();
  ASSERT_EQ(said.size(), 9U);
  EXPECT_NE(said[0].find("\"not\""), std::string::npos) << said[0];
  EXPECT_EQ(said[1], "bomb: 0");
  EXPECT_EQ(said[2], "forced: The answer is ");
  EXPECT_EQ(said[3], "complete: 11");
  EXPECT_NE(said[4].find("expected one that the grammar allows"), std::string::npos) << said[4];
  EXPECT_EQ(said[5], "back: 01");
  EXPECT_EQ(said[6], "too far: refused");
  EXPECT_EQ(said[7], "valid: 2");
  EXPECT_EQ(said[8], "mask: 1536");
}

TEST_F(FunctionsTest, messages_are_received_in_order_and_a_dropped_receive_swallows_none) {
  Run run = launch({"receive", "3"});
  ASSERT_TRUE(wait_for_messages(run, 1));
  for (const char* text : {"a", "b", "c"}) ASSERT_TRUE(run.instance->post_message(text).ok());
  EXPECT_EQ(wait_for_end(run).kind, EndKind::kCompleted);
  EXPECT_EQ(run.ports->messages(), (Texts{"ready", "got a", "got b", "got c"}));
}

TEST_F(FunctionsTest, blobs_are_read_in_pieces_and_sent_back) {
  Run run = launch({"blob"});
  ASSERT_TRUE(wait_for_messages(run, 1));
  ASSERT_TRUE(run.instance->post_blob(make_memory_blob({'a', 'b', 'c', 'd'})).ok());
  EXPECT_EQ(wait_for_end(run).kind, EndKind::kCompleted);
  EXPECT_EQ(run.ports->messages().at(1), "4 bc d 0");
  EXPECT_EQ(run.ports->blobs(), (std::vector<std::vector<uint8_t>>{{'a', 'b', 'c', 'd'}}));
}

TEST_F(FunctionsTest,
       a_blob_on_the_disk_is_read_beside_the_program_and_sent_when_the_log_takes_it) {
  const std::string path = testing::TempDir() + "/pie_host_test_blob";
  ASSERT_TRUE(write_file_atomically(path, "abcd" + std::string(1'000, 'x') + "z").ok());
  auto blob = open_file_blob(path);
  ASSERT_TRUE(blob.ok()) << blob.error().message;
  Run run = launch({"blob"});
  ASSERT_TRUE(wait_for_messages(run, 1));
  ASSERT_TRUE(run.instance->post_blob(*blob).ok());
  blob = BlobRef();
  ASSERT_TRUE(wait_for_messages(run, 2));
  EXPECT_EQ(wait_for_end(run).kind, EndKind::kCompleted);
  EXPECT_EQ(run.ports->messages().at(1), "1005 bc z 1");
  ASSERT_EQ(run.ports->blobs().size(), 1U);
  EXPECT_EQ(run.ports->blobs()[0].size(), 1'005U);
}

TEST_F(FunctionsTest, send_waits_while_the_log_is_full) {
  Run run{std::make_shared<RecordingPorts>(), nullptr};
  run.ports->set_writable_bytes(0);
  launch_with(run, {"send", "3", "4"});
  ASSERT_TRUE(wait_until([&] { return run.ports->waiting_count() == 1; }));
  EXPECT_TRUE(run.ports->messages().empty());
  run.ports->set_writable_bytes(100);
  EXPECT_EQ(wait_for_end(run).kind, EndKind::kCompleted);
  EXPECT_EQ(run.ports->messages(), (Texts{"xxx", "xxxx"}));
}

TEST_F(FunctionsTest, output_over_its_limit_ends_with_the_figures) {
  limits.output_bytes_max = 10;
  Run run;
  End end = run_to_end({"send", "6", "5"}, &run);
  EXPECT_EQ(end.kind, EndKind::kOutOfResources);
  EXPECT_NE(end.message.find("used 6 bytes and 5 more written, allowed 10"), std::string::npos)
      << end.message;
  EXPECT_EQ(run.ports->messages().size(), 1U);
}

TEST_F(FunctionsTest, slow_subscriber_is_told_what_was_dropped) {
  EXPECT_EQ(sent_by({"topics", "2"}), (Texts{"0", "1"}));
  Texts sent = sent_by({"topics", "1030"});
  ASSERT_EQ(sent.size(), 1025U);
  EXPECT_EQ(sent[0], "[dropped 6 messages]");
  EXPECT_EQ(sent[1], "6");
  EXPECT_EQ(sent.back(), "1029");
  EXPECT_EQ(bus.count(), 0U);  // dropping the subscription leaves the topic
}

TEST_F(FunctionsTest, kvs_of_the_user) {
  EXPECT_EQ(sent_by({"kvs"}), (Texts{"1", "none", "gone", "key a"}));
  kvs.get("alice", "a", [](auto value) { EXPECT_EQ(**value, "1"); });
}

TEST_F(FunctionsTest, a_program_that_waits_for_the_store_can_be_terminated) {
  kvs.hold();
  Run run = launch({"kvs"});
  ASSERT_TRUE(wait_until([&] { return kvs.held_count() == 1; }));
  run.instance->terminate({EndKind::kAborted, "Signal termination"});
  EXPECT_EQ(wait_for_end(run).kind, EndKind::kAborted);
  kvs.release();  // the answer comes too late, and harms nobody
  EXPECT_EQ(sent_by({"kvs"}).size(), 4U);
}

TEST_F(FunctionsTest, messages_that_nobody_takes_are_refused_at_the_host_memorys_bound) {
  limits.host_bytes_max = 64 << 10;
  Run run = launch({"pending"});
  ASSERT_TRUE(wait_for_messages(run, 1));
  int posted = 0;
  while (posted < 1'000 && run.instance->post_message("").ok()) ++posted;
  EXPECT_GT(posted, 100);
  EXPECT_LT(posted, 256);
  run.instance->terminate({EndKind::kAborted, ""});
  wait_for_end(run);
}

TEST_F(FunctionsTest, arguments_are_charged_and_bounded_in_number) {
  const auto refusal = [&](Texts arguments) {
    auto launched = host->prepare({.program = program,
                                   .arguments = std::move(arguments),
                                   .id = InstanceId(++last_id),
                                   .limits = limits,
                                   .ports = std::make_shared<RecordingPorts>()});
    return launched.ok() ? "none" : launched.error().message;
  };
  EXPECT_EQ(refusal(Texts(65'537)), "[launch] got 65537 arguments, expected at most 65536");
  limits.host_bytes_max = 1 << 20;
  EXPECT_EQ(refusal({std::string(600'000, 'x')}).find("host memory"), 0U);
}

TEST_F(FunctionsTest, runtime_and_model_say_who_they_are) {
  EXPECT_EQ(sent_by({"about", "x", "y z"}),
            (Texts{"1.2.3", "instance-id", engine->model().info().id, "1", "unknown model", "16",
                   "template", "argument about", "argument x", "argument y z"}));
}

TEST_F(FunctionsTest, tokenizer_of_the_model_file) {
  const std::string text = "Hello <|im_end|> \xe4\xbd\xa0\xe5\xa5\xbd";
  EXPECT_EQ(
      sent_by({"tokenize", text}),
      (Texts{text, std::to_string(engine->model().info().vocab_size), "special", "\xef\xbf\xbd"}));
}

TEST_F(FunctionsTest, long_text_is_tokenized_while_its_program_can_be_terminated) {
  EXPECT_EQ(sent_by({"tokenize", std::string(20'000, 'a')})[0], std::string(20'000, 'a'));
  engine->blocked_count = 0;
  Run run = launch({"tokenize", std::string(1'000'000, 'a')});
  ASSERT_TRUE(wait_until([&] { return engine->blocked_count > 0; }));
  run.instance->terminate({EndKind::kAborted, "Signal termination"});
  EXPECT_EQ(wait_for_end(run).kind, EndKind::kAborted);
  EXPECT_TRUE(run.ports->messages().empty());
}

TEST_F(FunctionsTest, one_users_long_text_does_not_hold_up_another) {
  Run loud = launch({"tokenize-long", "<|im_end|>", "1048570", "again"});
  Run louder = launch({"tokenize-long", "!", "1048570", "again"});
  ASSERT_TRUE(wait_for_messages(loud, 1));
  ASSERT_TRUE(wait_for_messages(louder, 1));
  user = "bob";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(sent_by({"tokenize-long", "word ", "7000"}), (Texts{"begun", "1401"}));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(took.count(), 5.0) << "s; 16 in the past, and milliseconds now";
  loud.instance->terminate({EndKind::kAborted, "enough"});
  louder.instance->terminate({EndKind::kAborted, "enough"});
  EXPECT_EQ(wait_for_end(loud).kind, EndKind::kAborted);
  EXPECT_EQ(wait_for_end(louder).kind, EndKind::kAborted);
}

TEST_F(FunctionsTest, a_text_of_tokens_has_a_bound) {
  const size_t size = engine->model().tokenizer().token_bytes(20'000).size();
  EXPECT_EQ(sent_by({"detokenize", "1000"}), Texts{std::to_string(1000 * size)});
  limits.message_bytes_max = 1 << 20;
  const End end = run_to_end({"detokenize", "400000"});
  EXPECT_EQ(end.kind, EndKind::kException);
  EXPECT_NE(end.message.find("[text of the tokens] got "), std::string::npos) << end.message;
}

TEST_F(FunctionsTest, chat_template_renders) {
  EXPECT_EQ(sent_by({"chat"}),
            (Texts{"ok <|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by "
                   "Hugging Face<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>"
                   "assistant\n"}));
}

struct Mistake {
  const char* what;
  EndKind kind;
  const char* says;
};
struct MistakesTest : FunctionsTest, testing::WithParamInterface<Mistake> {};

TEST_P(MistakesTest, ends_this_instance_and_says_what_was_wrong) {
  limits.host_bytes_max = 1 << 20;
  End end = run_to_end({"mistake", GetParam().what});
  EXPECT_EQ(end.kind, GetParam().kind);
  EXPECT_NE(end.message.find(GetParam().says), std::string::npos) << end.message;
}

std::string name_of(const testing::TestParamInfo<Mistake>& info) {
  std::string name = info.param.what;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

constexpr EndKind kException = EndKind::kException, kLimit = EndKind::kOutOfResources;
const Mistake kMistakes[] = {
    {"lengths", kException, "input-tokens: [positions] got 1 for 2 tokens"},
    {"temperature", kException, "output-tokens: [temperature] got nan"},
    {"top-p", kException, "output-tokens-top-p: [top-p] got 1.5, expected 0 to 1"},
    {"exhausted", kLimit, "KV pages: used 0, allowed 1000"},
    {"value", kException, "store-set: [value] got 2097152 bytes"},
    {"blobs", kLimit, "host memory"},
    {"store", kLimit, "[store-set] too much"},
    {"traits", kException, "get-all-models-with-traits: [traits] got 1280000 bytes"},
    {"outputs", kException,
     "[outputs] got 2000 tokens and distributions of 1 input tokens, expected at most 1028"},
    {"rankings", kException, "[top-k] got distributions of "},
    {"queries", kLimit, "host memory"},
    {"returns", kLimit, "host memory"},
    {"subscriptions", kLimit, "host memory"},
    {"passes", kLimit, "host memory"},
    {"export", kException, "export-resources: scripted refusal"},
    {"adapter", kException,
     "set-adapter: [set-adapter] got adapter pointer 0, where nothing was put yet"},
    {"zo", kException, "[execute] got an adapter seed without an adapter"},
    {"image", kException, "not supported yet: inferlet:image/image#calculate-embed-size"},
    {"actor", kException, "inferlet:actor is not served"},
};
INSTANTIATE_TEST_SUITE_P(All, MistakesTest, testing::ValuesIn(kMistakes), name_of);

}  // namespace
}  // namespace pie::host::test
