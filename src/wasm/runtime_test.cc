#include "wasm/runtime.h"

#include <gtest/gtest.h>

#include <ctime>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include "wasm/test_support.h"

namespace pie::wasm {
namespace {

using Kind = Outcome::Kind;
using std::chrono::milliseconds;

const char* const kReturnsOk = R"((memory (export "memory") 1)
  (func (export "run") (result i32) (i32.store8 (i32.const 256) (i32.const 0)) (i32.const 256)))";
const char* const kSpins = R"((memory (export "memory") 1)
  (func $inner (loop $l (br $l)))
  (func (export "run") (result i32) (call $inner) (unreachable)))";

uint64_t process_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

/// An object that tells when it goes.
class Counted final : public Object {
 public:
  explicit Counted(std::atomic<int>& live) : live_(live) { ++live_; }
  ~Counted() override { --live_; }

 private:
  std::atomic<int>& live_;
};

/// A runtime with a few host functions of test:*-like interfaces under names that programs may
/// import.
class RuntimeTest : public testing::Test {
 protected:
  void SetUp() override {
    registry_.resource("wasi:io/poll", "pollable");
    registry_.function("wasi:io/poll", "[method]pollable.ready", [](Call& call) {
      call.ret(Value::boolean(call.object<Pollable>(0)->event()->ready()));
    });
    registry_.async_function("wasi:io/poll", "[method]pollable.block", [](Call& call) {
      return Wait{{call.object<Pollable>(0)->event()}, nullptr};
    });
    registry_.async_function("wasi:io/poll", "poll", [](Call& call) {
      Wait wait;
      for (const auto& one : call.objects<Pollable>(0)) wait.events.push_back(one->event());
      wait.finish = [](const std::vector<uint32_t>& ready) { return Value::u32s(ready); };
      return wait;
    });
    registry_.resource("inferlet:test/things", "thing");
    registry_.function("inferlet:test/things", "make", [this](Call& call) {
      call.ret(Value::handle("inferlet:test/things/thing", std::make_shared<Counted>(live_)));
    });
    registry_.function("inferlet:test/things", "event",
                       [this](Call& call) { call.ret(make_pollable(event_)); });
    registry_.function("inferlet:test/things", "timer", [this](Call& call) {
      call.ret(make_pollable(runtime_->timer(call.u64(0))));
    });
    registry_.function("inferlet:test/things", "nop", [this](Call&) { ++nops_; });
    registry_.function("inferlet:test/things", "bad-text",
                       [](Call& call) { call.ret(Value::string("a\xff\0b")); });
    registry_.function("inferlet:test/things", "refuse",
                       [](Call&) { throw GuestError("got 7, expected 3"); });
    registry_.function("inferlet:test/things", "limit",
                       [](Call&) { throw LimitError("tokens: used 7, allowed 3"); });
    registry_.function("inferlet:test/things", "exit",
                       [](Call& call) { throw ExitRequest(static_cast<int>(call.u32(0))); });
    registry_.function("inferlet:test/things", "fault",
                       [](Call&) { throw std::runtime_error("broken"); });
    registry_.unserved("inferlet:actor", "inferlet:actor is not served");
    start(2);
  }

  void start(uint32_t workers) {
    runtime_.reset();
    auto made = Runtime::create({workers, 1000, folder_.path()}, registry_);
    ASSERT_TRUE(made.ok()) << made.error().message;
    runtime_ = std::move(*made);
  }

  std::shared_ptr<const Component> compile(const std::string& wat) {
    const std::vector<uint8_t> wasm = from_text(wat);
    auto compiled = runtime_->compile(wasm, hash_of(wat));
    EXPECT_TRUE(compiled.ok()) << compiled.error().message;
    return compiled.ok() ? *compiled : nullptr;
  }

  struct Running {
    std::shared_ptr<Instance> instance;
    Ending ending;
  };
  Running launch(const std::shared_ptr<const Component>& component, InstanceLimits limits = {},
                 std::function<void()> on_blocked = nullptr) {
    Running running;
    InstanceSpec spec;
    spec.component = component;
    spec.limits = limits;
    spec.on_end = running.ending.callback();
    spec.on_blocked = std::move(on_blocked);
    auto launched = runtime_->launch(std::move(spec));
    EXPECT_TRUE(launched.ok()) << launched.error().message;
    if (launched.ok()) running.instance = *launched;
    return running;
  }
  Outcome run(const std::string& wat, InstanceLimits limits = {}) {
    return launch(compile(wat), limits).ending.wait();
  }

  ScratchFolder folder_;
  std::atomic<int> live_{0};
  std::atomic<uint64_t> nops_{0};
  EventRef event_ = std::make_shared<Event>();
  Registry registry_;
  std::unique_ptr<Runtime> runtime_;
};

/// A component over inferlet:test/things and wasi:io/poll of `version`; `body` uses the imports
/// $make, $event, $timer, $nop, $refuse, $limit, $exit, $fault, $bad_text, $block, $poll,
/// $drop_thing and memory 0.
std::string with_things(const std::string& body, const std::string& version = "@0.2.3") {
  return joined({R"((component
  (import "wasi:io/poll)",
                 version, R"(" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.ready" (func (param "self" (borrow $p)) (result bool)))
    (export "[method]pollable.block" (func (param "self" (borrow $p))))
    (export "poll" (func (param "in" (list (borrow $p))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "inferlet:test/things" (instance $things
    (alias outer 1 $pollable (type $p0)) (export "pollable" (type $p (eq $p0)))
    (export "thing" (type $t (sub resource)))
    (export "make" (func (result (own $t))))
    (export "event" (func (result (own $p))))
    (export "timer" (func (param "ns" u64) (result (own $p))))
    (export "nop" (func))
    (export "refuse" (func)) (export "limit" (func)) (export "fault" (func))
    (export "exit" (func (param "code" u32)))
    (export "bad-text" (func (result string)))))
  (alias export $things "thing" (type $thing))
  (core module $mem (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
  (core instance $M (instantiate $mem))
  (core func $make (canon lower (func $things "make")))
  (core func $event (canon lower (func $things "event")))
  (core func $timer (canon lower (func $things "timer")))
  (core func $nop (canon lower (func $things "nop")))
  (core func $refuse (canon lower (func $things "refuse")))
  (core func $limit (canon lower (func $things "limit")))
  (core func $exit (canon lower (func $things "exit")))
  (core func $fault (canon lower (func $things "fault")))
  (core func $bad_text (canon lower (func $things "bad-text") (memory (core memory $M "memory")) (realloc (core func $M "realloc"))))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $wait (canon lower (func $poll "poll") (memory (core memory $M "memory")) (realloc (core func $M "realloc"))))
  (core func $drop_thing (canon resource.drop $thing))
  (core func $drop_pollable (canon resource.drop $pollable))
  (core module $m
    (import "h" "make" (func $make (result i32)))
    (import "h" "event" (func $event (result i32)))
    (import "h" "timer" (func $timer (param i64) (result i32)))
    (import "h" "nop" (func $nop)) (import "h" "refuse" (func $refuse))
    (import "h" "limit" (func $limit)) (import "h" "fault" (func $fault))
    (import "h" "exit" (func $exit (param i32)))
    (import "h" "bad-text" (func $bad_text (param i32)))
    (import "h" "block" (func $block (param i32)))
    (import "h" "poll" (func $poll (param i32 i32 i32)))
    (import "h" "drop-thing" (func $drop_thing (param i32)))
    (import "h" "drop-pollable" (func $drop_pollable (param i32)))
    (import "h" "memory" (memory 1))
    (func $ok (result i32) (i32.store8 (i32.const 256) (i32.const 0)) (i32.const 256))
    )",
                 body, R"()
  (core instance $i (instantiate $m (with "h" (instance
    (export "make" (func $make)) (export "event" (func $event)) (export "timer" (func $timer))
    (export "nop" (func $nop)) (export "refuse" (func $refuse)) (export "limit" (func $limit))
    (export "fault" (func $fault)) (export "exit" (func $exit))
    (export "bad-text" (func $bad_text))
    (export "block" (func $block)) (export "poll" (func $wait))
    (export "drop-thing" (func $drop_thing)) (export "drop-pollable" (func $drop_pollable))
    (export "memory" (memory $M "memory"))))))
  (func $run (result (result (error string))) (canon lift (core func $i "run") (memory (core memory $M "memory"))))
  (instance $inst (export "run" (func $run)))
  (export "inferlet:core/run" (instance $inst))))"});
}

TEST_F(RuntimeTest, run_returns_ok) { EXPECT_EQ(run(standalone(kReturnsOk)).kind, Kind::kOk); }

TEST_F(RuntimeTest, error_text_of_run_is_the_outcome) {
  const Outcome outcome = run(standalone(R"((memory (export "memory") 1)
    (data (i32.const 16) "no luck")
    (func (export "run") (result i32) (i32.store8 (i32.const 256) (i32.const 1))
      (i32.store (i32.const 260) (i32.const 16)) (i32.store (i32.const 264) (i32.const 7))
      (i32.const 256)))"));
  EXPECT_EQ(outcome.kind, Kind::kErr);
  EXPECT_EQ(outcome.text, "no luck");
}

TEST_F(RuntimeTest, trap_names_the_guests_functions) {
  const Outcome outcome = run(standalone(R"((memory (export "memory") 1)
    (func $divide_the_bill (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
    (func $_ZN4cafe4waitEi (param i32) (result i32) (call $divide_the_bill (local.get 0)))
    (func (export "run") (result i32) (call $_ZN4cafe4waitEi (i32.const 0))))"));
  EXPECT_EQ(outcome.kind, Kind::kTrap);
  EXPECT_EQ(outcome.text.find("wasm trap: integer divide by zero"), 0U) << outcome.text;
  EXPECT_NE(outcome.text.find("divide_the_bill"), std::string::npos) << outcome.text;
  EXPECT_NE(outcome.text.find("cafe::wait(int)"), std::string::npos) << outcome.text;
}

TEST_F(RuntimeTest, endless_recursion_is_a_trap_with_a_trace) {
  const Outcome outcome = run(standalone(R"((memory (export "memory") 1)
    (func $deeper (param i32) (result i32)
      (i32.add (call $deeper (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
    (func (export "run") (result i32) (call $deeper (i32.const 0))))"));
  EXPECT_EQ(outcome.kind, Kind::kTrap);
  EXPECT_NE(outcome.text.find("call stack exhausted"), std::string::npos) << outcome.text;
  EXPECT_NE(outcome.text.find("deeper"), std::string::npos) << outcome.text;
  EXPECT_LT(outcome.text.size(), 10'000U);
}

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
class CountingEvent final : public Event {
 public:
  uint64_t add_waiter(std::function<void()> wake) override {
    ++wakers;
    return Event::add_waiter(std::move(wake));
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

TEST_F(RuntimeTest, instances_that_the_kernel_has_no_mappings_for_are_refused_by_name) {
  runtime_.reset();
  auto made = Runtime::create({2, 1000, folder_.path(), 1ULL << 30, 50}, registry_);
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
  EXPECT_EQ(running.size(), 4U);  // ten mappings each, and the program's own four
  EXPECT_EQ(refusal.find("[launch] memory mappings of instances and programs: used 44 and 10 more "
                         "asked for, allowed 50"),
            0U)
      << refusal;
  for (auto& one : running) one.instance->kill();
  for (auto& one : running) one.ending.wait();
  running = {launch(component)};  // the room is given back
  running[0].instance->kill();
  running[0].ending.wait();
}

/// A component over inferlet:test/bulk: $take copies a list<u8> into a thing, $read gives of it,
/// $sum takes a list<u32>.
std::string with_bulk(const std::string& body) {
  return joined({R"((component
  (import "inferlet:test/bulk" (instance $bulk
    (export "thing" (type $t (sub resource)))
    (export "take" (func (param "bytes" (list u8)) (result (own $t))))
    (export "read" (func (param "of" (borrow $t)) (param "at" u64) (param "n" u64) (result (list u8))))
    (export "sum" (func (param "numbers" (list u32)) (result u64)))))
  (core module $mem (memory (export "memory") 1600)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 67108864)))
  (core instance $M (instantiate $mem))
  (core func $take (canon lower (func $bulk "take") (memory (core memory $M "memory"))))
  (core func $sum (canon lower (func $bulk "sum") (memory (core memory $M "memory"))))
  (core func $read (canon lower (func $bulk "read") (memory (core memory $M "memory")) (realloc (core func $M "realloc"))))
  (core module $m
    (import "h" "take" (func $take (param i32 i32) (result i32)))
    (import "h" "sum" (func $sum (param i32 i32) (result i64)))
    (import "h" "read" (func $read (param i32 i64 i64 i32)))
    (import "h" "memory" (memory 1))
    (func $ok (result i32) (i32.store8 (i32.const 256) (i32.const 0)) (i32.const 256))
    )",
                 body, R"()
  (core instance $i (instantiate $m (with "h" (instance
    (export "take" (func $take)) (export "sum" (func $sum)) (export "read" (func $read))
    (export "memory" (memory $M "memory"))))))
  (func $run (result (result (error string))) (canon lift (core func $i "run") (memory (core memory $M "memory"))))
  (instance $inst (export "run" (func $run)))
  (export "inferlet:core/run" (instance $inst))))"});
}

class BulkTest : public RuntimeTest {
 protected:
  struct Bytes final : Object {
    std::vector<uint8_t> bytes;
  };
  void SetUp() override {
    RuntimeTest::SetUp();
    registry_.resource("inferlet:test/bulk", "thing");
    registry_.function("inferlet:test/bulk", "take", [](Call& call) {
      auto made = std::make_shared<Bytes>();
      made->bytes = call.bytes(0);
      call.ret(Value::handle("inferlet:test/bulk/thing", std::move(made)));
    });
    registry_.function("inferlet:test/bulk", "read", [](Call& call) {
      const auto of = call.object<Bytes>(0);
      const uint8_t* from = of->bytes.data() + call.u64(1);
      call.ret(Value::bytes({from, from + call.u64(2)}));
    });
    registry_.function("inferlet:test/bulk", "sum", [](Call& call) {
      uint64_t sum = 0;
      for (const uint32_t one : call.u32s(0)) sum += one;
      call.ret(Value::u64(sum));
    });
  }
};

TEST_F(BulkTest, a_blob_of_16_mib_goes_there_and_back_whole) {
  EXPECT_EQ(run(with_bulk(R"((func (export "run") (result i32) (local $t i32)
      (i32.store8 (i32.const 1048576) (i32.const 7))
      (i32.store8 (i32.const 17825791) (i32.const 9))
      (local.set $t (call $take (i32.const 1048576) (i32.const 16777216)))
      (call $read (local.get $t) (i64.const 0) (i64.const 16777216) (i32.const 64))
      (if (i32.ne (i32.load (i32.const 64)) (i32.const 67108864)) (then unreachable))
      (if (i32.ne (i32.load (i32.const 68)) (i32.const 16777216)) (then unreachable))
      (if (i32.ne (i32.load8_u (i32.const 67108864)) (i32.const 7)) (then unreachable))
      (if (i32.ne (i32.load8_u (i32.const 83886079)) (i32.const 9)) (then unreachable))
      (call $ok)))"))
                .kind,
            Kind::kOk);
}

TEST_F(BulkTest, what_one_call_copies_is_bounded) {
  const auto sums = [&](int count) {
    return run(with_bulk(joined({R"((func (export "run") (result i32)
      (drop (call $sum (i32.const 1048576) (i32.const )",
                                 std::to_string(count), R"())) (call $ok)))"})));
  };
  EXPECT_EQ(sums(400'000).kind, Kind::kOk);
  const Outcome refused = sums(20'000'000);
  EXPECT_EQ(refused.kind, Kind::kLimit);
  EXPECT_EQ(refused.text.find("data copied by one host call: used more, allowed 20971520 bytes"),
            0U)
      << refused.text;
  const Outcome blob = run(with_bulk(R"((func (export "run") (result i32)
      (drop (call $take (i32.const 1048576) (i32.const 33554432))) (call $ok)))"));
  EXPECT_EQ(blob.kind, Kind::kLimit);
}

TEST_F(BulkTest, memory_outside_the_linear_memories_is_charged_too) {
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

TEST_F(RuntimeTest, cpu_limit_ends_a_spinner) {
  const Outcome outcome = run(standalone(kSpins), {.cpu_ns_max = 20'000'000});
  EXPECT_EQ(outcome.kind, Kind::kLimit);
  EXPECT_EQ(outcome.text.find("CPU time: used "), 0U) << outcome.text;
}

TEST_F(RuntimeTest, spinner_is_killed_within_a_second) {
  // The best of a few: other processes may hold the cores for longer than that.
  const auto spinner = compile(standalone(kSpins));
  auto best = std::chrono::nanoseconds::max();
  for (int attempt = 0; attempt < 5 && best > milliseconds(1000); ++attempt) {
    Running running = launch(spinner);
    ASSERT_TRUE(eventually([&] { return running.instance->cpu_ns() > 20'000'000; }));
    const auto start = std::chrono::steady_clock::now();
    running.instance->kill();
    EXPECT_EQ(running.ending.wait().kind, Kind::kKilled);
    best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - start);
  }
  EXPECT_LT(best, milliseconds(1000));
}

TEST_F(RuntimeTest, spinner_in_a_start_function_is_killed) {
  Running running = launch(compile(standalone(R"((memory (export "memory") 1)
    (func $forever (loop $l (br $l))) (start $forever)
    (func (export "run") (result i32) (i32.const 256)))")));
  ASSERT_TRUE(eventually([&] { return running.instance->cpu_ns() > 20'000'000; }));
  running.instance->kill();
  EXPECT_EQ(running.ending.wait().kind, Kind::kKilled);
}

TEST_F(RuntimeTest, blocked_instance_wakes_when_its_event_fires) {
  std::atomic<int> blocked{0};
  Running running = launch(compile(with_things(R"((func (export "run") (result i32)
      (call $block (call $event)) (call $ok)))")),
                           {}, [&] { ++blocked; });
  ASSERT_TRUE(eventually([&] { return blocked == 1; }));
  EXPECT_FALSE(running.ending.ended());
  event_->fire();
  EXPECT_EQ(running.ending.wait().kind, Kind::kOk);
}

TEST_F(RuntimeTest, blocked_instance_is_killed) {
  std::atomic<int> blocked{0};
  Running running = launch(compile(with_things(R"((func (export "run") (result i32)
      (call $block (call $event)) (call $ok)))")),
                           {}, [&] { ++blocked; });
  ASSERT_TRUE(eventually([&] { return blocked == 1; }));
  running.instance->kill();
  running.instance->kill();
  EXPECT_EQ(running.ending.wait().kind, Kind::kKilled);
  event_->fire();
  runtime_.reset();
  EXPECT_EQ(running.ending.count(), 1U);
}

TEST_F(RuntimeTest, instance_killed_before_its_first_instruction_runs_none) {
  start(1);
  Running spinner = launch(compile(standalone(kSpins)));
  ASSERT_TRUE(eventually([&] { return spinner.instance->cpu_ns() > 0; }));
  std::vector<Running> many;
  const auto nop = compile(with_things(
      R"((func (export "run") (result i32) (call $nop) (call $block (call $event)) (call $ok)))"));
  for (int i = 0; i < 100; ++i) {
    many.push_back(launch(nop));
    many.back().instance->kill();
  }
  for (const Running& one : many) EXPECT_EQ(one.ending.wait().kind, Kind::kKilled);
  for (const Running& one : many) EXPECT_EQ(one.ending.count(), 1U);
  spinner.instance->kill();
  spinner.ending.wait();
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

TEST_F(RuntimeTest, event_that_was_reset_before_the_wake_does_not_lose_the_waiter) {
  std::atomic<int> blocked{0};
  Running running = launch(compile(with_things(R"((func (export "run") (result i32)
      (call $block (call $event)) (call $ok)))")),
                           {}, [&] { ++blocked; });
  ASSERT_TRUE(eventually([&] { return blocked == 1; }));
  event_->fire();
  event_->reset();
  // Whether or not the first fire() was seen in time, the second must be.
  event_->fire();
  EXPECT_EQ(running.ending.wait().kind, Kind::kOk);
}

TEST_F(RuntimeTest, five_hundred_fibers_wait_and_wake_on_two_workers) {
  const auto sleeper = compile(with_things(R"((func (export "run") (result i32) (local $n i32)
      (loop $l (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (call $nop) (call $block (call $timer (i64.const 1000000)))
        (br_if $l (i32.lt_u (local.get $n) (i32.const 10))))
      (call $ok)))"));
  std::vector<Running> all;
  for (int i = 0; i < 500; ++i) all.push_back(launch(sleeper));
  for (const Running& one : all) EXPECT_EQ(one.ending.wait().kind, Kind::kOk);
  EXPECT_EQ(nops_, 5000U);
}

TEST_F(RuntimeTest, neighbours_of_spinners_go_on) {
  const auto spinner = compile(standalone(kSpins));
  const auto generator = compile(with_things(R"((func (export "run") (result i32) (local $n i32)
      (loop $l (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (call $block (call $timer (i64.const 1000000)))
        (br_if $l (i32.lt_u (local.get $n) (i32.const 50))))
      (call $ok)))"));
  std::vector<Running> spinners;
  for (int i = 0; i < 64; ++i) spinners.push_back(launch(spinner));
  ASSERT_TRUE(eventually([&] {
    uint64_t started = 0;
    for (const Running& one : spinners) started += one.instance->cpu_ns() > 0;
    return started == spinners.size();
  }));
  // In CPU time of this process, so that other processes don't count. Each of 50 waits behind 64
  // hogs with slices of 5 to 10 ms would take 16 to 32 s; pre-empting wakes cost at most a slice
  // on each of two workers.
  uint64_t start_ns = process_cpu_ns();
  std::vector<Running> generators;
  for (int i = 0; i < 8; ++i) generators.push_back(launch(generator));
  for (const Running& one : generators) EXPECT_EQ(one.ending.wait().kind, Kind::kOk);
  EXPECT_LT(process_cpu_ns() - start_ns, 4'000'000'000U);
  start_ns = process_cpu_ns();
  for (const Running& one : spinners) one.instance->kill();
  for (const Running& one : spinners) EXPECT_EQ(one.ending.wait().kind, Kind::kKilled);
  EXPECT_LT(process_cpu_ns() - start_ns, 1'000'000'000U);
}

TEST_F(RuntimeTest, instances_have_a_limit) {
  runtime_.reset();
  auto made = Runtime::create({1, 2, ""}, registry_);
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

TEST_F(RuntimeTest, runtime_kills_what_runs_when_it_goes) {
  Running spinner = launch(compile(standalone(kSpins)));
  Running blocked = launch(compile(
      with_things(R"((func (export "run") (result i32) (call $block (call $event)) (call $ok)))")));
  runtime_.reset();
  EXPECT_EQ(spinner.ending.count(), 1U);
  EXPECT_EQ(blocked.ending.count(), 1U);
  EXPECT_EQ(blocked.ending.wait().kind, Kind::kKilled);
  event_->fire();
  spinner.instance->kill();
}

}  // namespace
}  // namespace pie::wasm
