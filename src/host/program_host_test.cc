// How instances begin and end.
#include <gtest/gtest.h>

#include "host/test_host.h"

namespace pie::host::test {
namespace {

using Texts = std::vector<std::string>;
constexpr EndKind kLimit = EndKind::kOutOfResources;

struct EndTest : HostTest {
  End ended(const char* how) { return run_to_end({"end", how}); }
};

TEST_F(EndTest, return_value_completes) {
  End end = ended("return");
  EXPECT_EQ(end.kind, EndKind::kCompleted);
  EXPECT_EQ(end.message, "by set-return");
  EXPECT_EQ(ended("value").message, "by value");
  EXPECT_EQ(ended("exit0").kind, EndKind::kCompleted);
}

TEST_F(EndTest, failures_of_the_program_are_exceptions) {
  End error = ended("error");
  EXPECT_EQ(error.kind, EndKind::kException);
  EXPECT_EQ(error.message, "Runtime error: no luck");
  End exit = ended("exit3");
  EXPECT_EQ(exit.kind, EndKind::kException);
  EXPECT_NE(exit.message.find("exit with code"), std::string::npos) << exit.message;
  End trap = ended("trap");
  EXPECT_EQ(trap.kind, EndKind::kException);
  EXPECT_NE(trap.message.find("unreachable"), std::string::npos) << trap.message;
}

TEST_F(EndTest, printing_without_end_is_out_of_resources) {
  limits.output_bytes_max = 10'000;
  Run run;
  End end = run_to_end({"end", "print"}, &run);
  EXPECT_EQ(end.kind, EndKind::kOutOfResources);
  EXPECT_NE(end.message.find("allowed 10000"), std::string::npos) << end.message;
  EXPECT_LE(run.ports->out().size(), 10'000U);
  EXPECT_GT(run.ports->out().size(), 5'000U);
}

TEST_F(EndTest, terminate_stops_a_spinning_and_a_waiting_program) {
  for (Texts arguments : {Texts{"end", "spin"}, Texts{"receive", "1"}}) {
    Run run = launch(arguments);
    const auto asked = std::chrono::steady_clock::now();
    run.instance->terminate({EndKind::kAborted, "Signal termination"});
    End end = wait_for_end(run);
    EXPECT_EQ(end.kind, EndKind::kAborted);
    EXPECT_EQ(end.message, "Signal termination");
    EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(5));
    run.instance->terminate({EndKind::kAborted, "again"});
    EXPECT_EQ(run.ports->ends().size(), 1U);
  }
}

TEST_F(EndTest, terminated_before_its_start_nothing_of_it_runs) {
  Run run{std::make_shared<RecordingPorts>(), nullptr};
  prepare(run, {"end", "print"});
  run.instance->terminate({EndKind::kAborted, "Signal termination"});
  run.instance->terminate({EndKind::kServerError, "too late"});
  EXPECT_TRUE(run.ports->ends().empty());
  ASSERT_TRUE(run.instance->start().ok());
  ASSERT_EQ(run.ports->ends().size(), 1U);
  EXPECT_EQ(run.ports->ends()[0].message, "Signal termination");
  EXPECT_EQ(run.ports->out(), "");
  EXPECT_EQ(engine->open_count, 0);
  EXPECT_EQ(run.instance->kv_pages_used(), 0U);
}

TEST_F(EndTest, one_that_was_prepared_and_dropped_leaves_nothing) {
  Run run{std::make_shared<RecordingPorts>(), nullptr};
  prepare(run, {"end", "value"});
  run.instance = nullptr;
  EXPECT_EQ(run.ports.use_count(), 1);
  EXPECT_TRUE(run.ports->ends().empty());
}

TEST_F(EndTest, error_of_a_pass_ends_the_program_that_waits_for_it) {
  struct Case {
    Error error;
    EndKind kind;
  };
  for (const Case& one :
       {Case{{ErrorCode::kResourceExhausted, "KV pages: used 9, allowed 9"}, kLimit},
        Case{{ErrorCode::kInvalidArgument, "[execute] got 1, expected 2"}, EndKind::kException},
        Case{{ErrorCode::kInternal, "broken"}, EndKind::kServerError}}) {
    Run run = launch({"pending"});
    auto pass = engine->next_pass();
    ASSERT_TRUE(wait_for_messages(run, 1));
    pass.done(one.error);
    End end = wait_for_end(run);
    EXPECT_EQ(end.kind, one.kind);
    EXPECT_EQ(end.message, one.error.message);
  }
}

TEST_F(EndTest, answer_of_the_engine_after_the_end_is_harmless) {
  Run run = launch({"pending"});
  auto pass = engine->next_pass();
  run.instance->terminate({EndKind::kAborted, "Signal termination"});
  EXPECT_EQ(wait_for_end(run).kind, EndKind::kAborted);
  pass.done(engine::ForwardOutput{{1}, {}});
}

TEST_F(EndTest, end_is_said_after_the_engine_has_let_go) {
  engine->hold_closed();
  Run run = launch({"end", "value"});
  ASSERT_TRUE(wait_until([&] { return engine->open_count == 0; }));
  EXPECT_TRUE(run.ports->ends().empty());
  engine->release_closed();
  EXPECT_EQ(wait_for_end(run).message, "by value");
  EXPECT_EQ(run.instance->kv_pages_used(), 0U);
  EXPECT_EQ(run.instance->memory_bytes(), 0U);
}

TEST_F(EndTest, running_instance_tells_what_it_uses) {
  Run run = launch({"receive", "1"});
  ASSERT_TRUE(wait_for_messages(run, 1));
  EXPECT_EQ(run.instance->kv_pages_used(), 3U);
  EXPECT_GT(run.instance->memory_bytes(), 0U);
  EXPECT_TRUE(wait_until([&] { return engine->blocked_count > 0; }));
  ASSERT_TRUE(run.instance->post_message("go on").ok());
  wait_for_end(run);
}

TEST_F(EndTest, destroying_the_host_ends_what_runs) {
  Run waiting = launch({"receive", "1"}), spinning = launch({"end", "spin"});
  host = nullptr;
  EXPECT_EQ(waiting.ports->ends().size(), 1U);
  EXPECT_EQ(spinning.ports->ends().size(), 1U);
  EXPECT_EQ(engine->open_count, 0);
}

TEST_F(EndTest, what_is_no_program_is_refused_at_compile) {
  const std::string bytes = "not wasm at all";
  auto compiled =
      host->compile({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "bad");
  ASSERT_FALSE(compiled.ok());
  EXPECT_EQ(compiled.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace pie::host::test
