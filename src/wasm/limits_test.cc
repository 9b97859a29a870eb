// What ends an instance, or is refused at its launch, for being too much.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "wasm/test_runtime.h"

namespace pie::wasm {
namespace {

TEST_F(RuntimeTest, instances_that_the_kernel_has_no_mappings_for_are_refused_by_name) {
  runtime_.reset();
  auto made = Runtime::create({2, 1000, folder_.path(), 1ULL << 30, 50}, functions_);
  ASSERT_TRUE(made.ok()) << made.error().message;
  runtime_ = std::move(*made);
  std::string wat = with_things(
      "(func (export \"run\") (result i32) (call $block (call $event)) "
      "(call $ok))");
  wat.insert(std::string("(component").size(),
             " (core module $more (memory 0)) (core instance (instantiate $more)) "
             "(core instance (instantiate $more)) (core instance (instantiate $more))");
  const auto component = compile(wat);
  std::vector<Running> running;
  std::string refusal;
  while (refusal.empty() && running.size() < 100) {
    Ending ending;
    InstanceSpec spec;
    spec.component = component;
    spec.on_end = ending.callback();
    auto launched = runtime_->launch(std::move(spec));
    if (launched.ok())
      running.push_back({*launched, ending});
    else
      refusal = launched.error().message;
  }
  EXPECT_EQ(running.size(), 2U);  // 18 mappings each, and the program's own four
  EXPECT_EQ(refusal.find("[launch] memory mappings of instances and programs: used 40 and 18 more "
                         "asked for, allowed 50"),
            0U)
      << refusal;
  for (auto& one : running) one.instance->kill();
  for (auto& one : running) one.ending.wait();
  running = {launch(component)};  // the room is given back
  running[0].instance->kill();
  running[0].ending.wait();
}

TEST_F(RuntimeTest, memory_outside_the_linear_memories_is_charged_too) {
  // 100 tables that grow to 16,000 elements each are 12 MiB.
  std::string wat = standalone(R"((memory (export "memory") 1)
    (func (export "run") (result i32) (i32.store8 (i32.const 256) (i32.const 0)) (i32.const 256)))");
  std::string more = " (core module $more (table 16000 funcref))";
  for (int i = 0; i < 90; ++i) more += " (core instance (instantiate $more))";
  wat.insert(std::string("(component").size(), more);
  EXPECT_EQ(run(wat).kind, Kind::kOk);
  // A program that waits is told at its next slice.
  std::string waits = with_things(
      "(func (export \"run\") (result i32) (call $block (call $event)) "
      "(call $ok))");
  waits.insert(std::string("(component").size(), more);
  const Outcome outcome = run(waits, {.memory_bytes_max = 4 << 20});
  EXPECT_EQ(outcome.kind, Kind::kLimit);
  EXPECT_EQ(outcome.text.find("memory: used "), 0U) << outcome.text;
}

TEST_F(RuntimeTest, flood_of_handles_reaches_the_limit) {
  const Outcome outcome = run(with_things(R"((func (export "run") (result i32)
      (loop $l (drop (call $make)) (br $l)) (unreachable)))"),
                              {.handles_max = 1000});
  EXPECT_EQ(outcome.kind, Kind::kLimit);
  EXPECT_EQ(outcome.text, "handles: used 1000, allowed 1000");
  EXPECT_EQ(live_, 0);
}

TEST_F(RuntimeTest, refused_memory_then_a_trap_is_the_limit) {
  const std::string grows = R"((memory (export "memory") 1)
    (func (export "run") (result i32)
      (loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)))";
  const Outcome outcome = run(standalone(grows), {.memory_bytes_max = 8 << 20});
  EXPECT_EQ(outcome.kind, Kind::kLimit);
  EXPECT_EQ(outcome.text.find("memory: used "), 0U) << outcome.text;
  EXPECT_NE(outcome.text.find("allowed 8388608 bytes"), std::string::npos) << outcome.text;
}

TEST_F(RuntimeTest, refused_memory_that_the_program_survives_is_no_end) {
  const std::string copes = R"((memory (export "memory") 1)
    (func (export "run") (result i32)
      (if (i32.ne (memory.grow (i32.const 1000)) (i32.const -1)) (then unreachable))
      (i32.store8 (i32.const 256) (i32.const 0)) (i32.const 256)))";
  EXPECT_EQ(run(standalone(copes), {.memory_bytes_max = 8 << 20}).kind, Kind::kOk);
}

TEST_F(RuntimeTest, memory_too_large_from_the_start_is_the_limit) {
  const std::string large = R"((memory (export "memory") 1000)
    (func (export "run") (result i32) (i32.const 256)))";
  EXPECT_EQ(run(standalone(large), {.memory_bytes_max = 8 << 20}).kind, Kind::kLimit);
}

TEST_F(RuntimeTest, growth_that_no_memory_can_have_is_nobodys_limit) {
  for (const char* memory : {"1", "1 10"}) {
    const Outcome outcome = run(standalone(joined({"(memory (export \"memory\") ", memory, R"()
      (func (export "run") (result i32)
        (if (i32.ne (memory.grow (i32.const 65536)) (i32.const -1)) (then (return (i32.const 0))))
        (unreachable)))"})));
    EXPECT_EQ(outcome.kind, Kind::kTrap) << outcome.text;
  }
}

TEST_F(RuntimeTest, memory_is_charged_whole_to_instance_and_user_and_given_back) {
  Ledger ledger({.memory_bytes_max = 6 << 20}, {}, 0);
  const UserQuotasRef quotas = ledger.of("u");
  const auto component = compile(with_things(
      R"((memory $large 64) (data (memory $large) (i32.const 4000000) "x")
         (func (export "run") (result i32) (drop (memory.grow $large (i32.const 16)))
           (call $block (call $event)) (call $ok)))"));
  const auto launched = [&] {
    Running running;
    InstanceSpec spec;
    spec.component = component;
    spec.quotas = quotas;
    spec.on_end = running.ending.callback();
    auto instance = runtime_->launch(std::move(spec));
    EXPECT_TRUE(instance.ok());
    running.instance = *instance;
    return running;
  };
  constexpr uint64_t kPages = 1 + 64 + 16;
  Running first = launched();
  ASSERT_TRUE(eventually([&] { return first.instance->memory_bytes() == kPages * 65'536; }))
      << first.instance->memory_bytes();
  EXPECT_EQ(quotas->memory.used(), kPages * 65'536);
  const Outcome second = launched().ending.wait();
  EXPECT_EQ(second.kind, Kind::kLimit) << second.text;
  EXPECT_NE(second.text.find("allowed 6291456"), std::string::npos) << second.text;
  event_->fire();
  EXPECT_EQ(first.ending.wait().kind, Kind::kOk);
  EXPECT_EQ(first.instance->memory_bytes(), 0U);
  EXPECT_EQ(quotas->memory.used(), 0U);
}

TEST_F(RuntimeTest, cpu_limit_ends_a_spinner) {
  const Outcome outcome = run(standalone(kSpins), {.cpu_ns_max = 20'000'000});
  EXPECT_EQ(outcome.kind, Kind::kLimit);
  EXPECT_EQ(outcome.text.find("CPU time: used "), 0U) << outcome.text;
}

TEST_F(RuntimeTest, instances_have_a_limit) {
  runtime_.reset();
  auto made = Runtime::create({1, 2, ""}, functions_);
  ASSERT_TRUE(made.ok());
  runtime_ = std::move(*made);
  const auto blocked = compile(
      with_things(R"((func (export "run") (result i32) (call $block (call $event)) (call $ok)))"));
  Running one = launch(blocked), two = launch(blocked);
  InstanceSpec spec;
  spec.component = blocked;
  const auto third = runtime_->launch(std::move(spec));
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code, ErrorCode::kResourceExhausted);
  event_->fire();
  EXPECT_EQ(one.ending.wait().kind, Kind::kOk);
  EXPECT_EQ(two.ending.wait().kind, Kind::kOk);
  EXPECT_EQ(launch(blocked).ending.wait().kind, Kind::kOk);
}

}  // namespace
}  // namespace pie::wasm
