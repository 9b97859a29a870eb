// What one call of a host function does: ends, texts, handles, waits.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

#include "wasm/test_runtime.h"

namespace pie::wasm {
namespace {

TEST_F(RuntimeTest, host_functions_end_the_instance_as_they_say) {
  const auto call = [&](const std::string& what) {
    return run(with_things(joined({"(func (export \"run\") (result i32) ", what, " (call $ok))"})));
  };
  const Outcome refused = call("(call $refuse)");
  EXPECT_EQ(refused.kind, Kind::kTrap);
  EXPECT_EQ(refused.text.find("inferlet:test/things#refuse: got 7, expected 3"), 0U)
      << refused.text;
  EXPECT_EQ(call("(call $limit)").kind, Kind::kLimit);
  EXPECT_EQ(call("(call $limit)").text, "tokens: used 7, allowed 3");
  EXPECT_EQ(call("(call $fault)").kind, Kind::kFault);
  const Outcome exited = call("(call $exit (i32.const 3))");
  EXPECT_EQ(exited.kind, Kind::kExit);
  EXPECT_EQ(exited.exit_code, 3);
}

TEST_F(RuntimeTest, text_that_is_not_utf8_reaches_the_guest_mended) {
  EXPECT_EQ(run(with_things(R"((func (export "run") (result i32) (call $bad_text (i32.const 64))
      (if (i32.ne (i32.load8_u (i32.const 4097)) (i32.const 0xEF)) (then unreachable))
      (call $ok)))"))
                .kind,
            Kind::kOk);
}

TEST_F(RuntimeTest, every_0_2_version_is_served) {
  const std::string body = R"((func (export "run") (result i32) (call $nop) (call $ok)))";
  for (const char* version : {"@0.2.0", "@0.2.3", "@0.2.12", "@0.2.40"})
    EXPECT_EQ(run(with_things(body, version)).kind, Kind::kOk) << version;
}

TEST_F(RuntimeTest, dropped_and_kept_objects_are_released) {
  const Outcome outcome = run(with_things(R"((func (export "run") (result i32)
      (call $drop_thing (call $make)) (drop (call $make)) (drop (call $make)) (call $ok)))"));
  EXPECT_EQ(outcome.kind, Kind::kOk);
  EXPECT_EQ(live_, 0);
}

TEST_F(RuntimeTest, objects_of_a_killed_instance_are_released) {
  Running running = launch(compile(with_things(R"((func (export "run") (result i32)
      (drop (call $make)) (call $block (call $event)) (call $ok)))")));
  ASSERT_TRUE(eventually([&] { return live_ == 1; }));
  running.instance->kill();
  EXPECT_EQ(running.ending.wait().kind, Kind::kKilled);
  EXPECT_EQ(live_, 0);
}

/// An event that counts the wakers put at it.
class CountingEvent final : public Readiness {
 public:
  uint64_t add_waiter(std::function<void()> wake) override {
    ++wakers;
    return Readiness::add_waiter(std::move(wake));
  }
  std::atomic<int> wakers{0};
};

/// Polls a list of `count` times the same pollable.
std::string polls_the_same(int count) {
  return joined({R"((func (export "run") (result i32) (local $p i32) (local $i i32)
      (drop (memory.grow (i32.const 100)))
      (local.set $p (call $event))
      (loop $l
        (i32.store (i32.add (i32.const 1048576) (i32.shl (local.get $i) (i32.const 2))) (local.get $p))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $i) (i32.const )",
                 std::to_string(count), R"())))
      (call $poll (i32.const 1048576) (i32.const )",
                 std::to_string(count), R"() (i32.const 64))
      (if (i32.ne (i32.load (i32.const 68)) (i32.const )",
                 std::to_string(count),
                 R"()) (then unreachable))
      (call $ok)))"});
}

TEST_F(RuntimeTest, a_wait_puts_one_waker_at_an_event_however_often_it_names_it) {
  auto event = std::make_shared<CountingEvent>();
  event_ = event;
  Running running = launch(compile(with_things(polls_the_same(30'000))));
  ASSERT_TRUE(eventually([&] { return event->wakers > 0; }));
  event_->fire();
  EXPECT_EQ(running.ending.wait().kind, Kind::kOk);
  EXPECT_EQ(event->wakers, 1);
}

TEST_F(RuntimeTest, a_list_of_too_many_handles_is_refused_by_its_length) {
  const Outcome outcome = run(with_things(polls_the_same(40'000)));
  EXPECT_EQ(outcome.kind, Kind::kTrap);
  EXPECT_NE(outcome.text.find("got a list of 40000 handles, expected at most 32768"),
            std::string::npos)
      << outcome.text;
  EXPECT_EQ(run(with_things(polls_the_same(1'000'000))).kind, Kind::kLimit);
}

TEST_F(RuntimeTest, poll_mixes_timers_and_other_events) {
  // poll([event, timer of an hour, timer of a millisecond]) is [2].
  EXPECT_EQ(run(with_things(R"((func (export "run") (result i32)
      (i32.store (i32.const 0) (call $event))
      (i32.store (i32.const 4) (call $timer (i64.const 3600000000000)))
      (i32.store (i32.const 8) (call $timer (i64.const 1000000)))
      (call $poll (i32.const 0) (i32.const 3) (i32.const 64))
      (if (i32.ne (i32.load (i32.const 68)) (i32.const 1)) (then unreachable))
      (if (i32.ne (i32.load (i32.load (i32.const 64))) (i32.const 2)) (then unreachable))
      (call $ok)))"))
                .kind,
            Kind::kOk);
  // With the event ready it is [0]; the timer of an hour is in the list too.
  event_->fire();
  EXPECT_EQ(run(with_things(R"((func (export "run") (result i32)
      (i32.store (i32.const 0) (call $timer (i64.const 3600000000000)))
      (i32.store (i32.const 4) (call $event))
      (call $poll (i32.const 0) (i32.const 2) (i32.const 64))
      (if (i32.ne (i32.load (i32.const 68)) (i32.const 1)) (then unreachable))
      (if (i32.ne (i32.load (i32.load (i32.const 64))) (i32.const 1)) (then unreachable))
      (call $ok)))"))
                .kind,
            Kind::kOk);
}

}  // namespace
}  // namespace pie::wasm
