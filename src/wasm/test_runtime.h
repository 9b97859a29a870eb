#pragma once
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "wasm/runtime.h"
#include "wasm/test_support.h"

namespace pie::wasm {

using Kind = Outcome::Kind;

inline const char* const kReturnsOk = R"((memory (export "memory") 1)
  (func (export "run") (result i32) (i32.store8 (i32.const 256) (i32.const 0)) (i32.const 256)))";
inline const char* const kSpins = R"((memory (export "memory") 1)
  (func $inner (loop $l (br $l)))
  (func (export "run") (result i32) (call $inner) (unreachable)))";

/// An object that tells when it goes.
class Counted final : public Object {
 public:
  static constexpr std::string_view kResource = "inferlet:test/things/thing";
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
    functions_.resource(Pollable::kResource);
    functions_.add("wasi:io/poll", "[method]pollable.ready",
                   [](Pollable& self) { return self.event()->ready(); });
    functions_.add("wasi:io/poll", "[method]pollable.block",
                   [](Pollable& self) { return Wait<>({self.event()}); });
    functions_.add("wasi:io/poll", "poll", [](const std::vector<std::shared_ptr<Pollable>>& all) {
      std::vector<ReadinessRef> events;
      for (const auto& one : all) events.push_back(one->event());
      return Wait<std::vector<uint32_t>>(std::move(events),
                                         [](const std::vector<uint32_t>& ready) { return ready; });
    });
    const std::string things = "inferlet:test/things";
    functions_.resource(Counted::kResource);
    functions_.add(things, "make", [this] { return std::make_shared<Counted>(live_); });
    functions_.add(things, "event", [this] { return event_; });
    functions_.add(things, "timer", [this](uint64_t ns) { return runtime_->timer(ns); });
    functions_.add(things, "nop", [this] { ++nops_; });
    functions_.add(things, "bad-text", [] { return std::string("a\xff\0b"); });
    functions_.add(things, "refuse", [] { throw GuestError("got 7, expected 3"); });
    functions_.add(things, "limit", [] { throw LimitError("tokens: used 7, allowed 3"); });
    functions_.add(things, "exit",
                   [](uint32_t code) { throw ExitRequest(static_cast<int>(code)); });
    functions_.add(things, "fault", [] { throw std::runtime_error("broken"); });
    functions_.unserved("inferlet:actor", "inferlet:actor is not served");
    start(2);
  }

  void start(uint32_t workers) {
    runtime_.reset();
    auto made = Runtime::create({workers, 1000, folder_.path()}, functions_);
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
    std::shared_ptr<GuestInstance> instance;
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
  ReadinessRef event_ = std::make_shared<Readiness>();
  HostFunctions functions_;
  std::unique_ptr<Runtime> runtime_;
};

/// A component over inferlet:test/things and wasi:io/poll of `version`; `body` uses the imports
/// $make, $event, $timer, $nop, $refuse, $limit, $exit, $fault, $bad_text, $block, $poll,
/// $drop_thing and memory 0.
inline std::string with_things(const std::string& body, const std::string& version = "@0.2.3") {
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
}  // namespace pie::wasm
