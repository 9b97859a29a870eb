#include "wasi/wasi.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "wasm/runtime.h"
#include "wasm/test_support.h"

namespace pie::wasi {
namespace {

using Kind = wasm::Outcome::Kind;

/// A log of a fixed size that a test empties.
class FakeOutput final : public OutputPorts {
 public:
  void write_stdout(std::string_view bytes) override { append(out_, bytes); }
  void write_stderr(std::string_view bytes) override { append(err_, bytes); }
  uint64_t writable_bytes() override {
    std::lock_guard lock(mutex_);
    return used_ < capacity_ ? capacity_ - used_ : 0;
  }
  void on_writable(std::function<void()> wake) override {
    {
      std::lock_guard lock(mutex_);
      if (used_ >= capacity_) return wakes_.push_back(std::move(wake));
    }
    wake();
  }

  void set_capacity(uint64_t bytes) {
    std::lock_guard lock(mutex_);
    capacity_ = bytes;
  }
  /// Everything was delivered.
  void drain() {
    std::vector<std::function<void()>> wakes;
    {
      std::lock_guard lock(mutex_);
      used_ = 0;
      wakes.swap(wakes_);
    }
    for (auto& wake : wakes) wake();
  }
  std::string out() const { return locked(out_); }
  std::string err() const { return locked(err_); }
  size_t waiting() const {
    std::lock_guard lock(mutex_);
    return wakes_.size();
  }

 private:
  void append(std::string& to, std::string_view bytes) {
    std::lock_guard lock(mutex_);
    to.append(bytes);
    used_ += bytes.size();
  }
  std::string locked(const std::string& text) const {
    std::lock_guard lock(mutex_);
    return text;
  }

  mutable std::mutex mutex_;
  uint64_t capacity_ = 1 << 20, used_ = 0;
  std::string out_, err_;
  std::vector<std::function<void()>> wakes_;
};

class WasiTest : public testing::Test {
 protected:
  void SetUp() override {
    define_wasi(functions_);
    auto made = wasm::Runtime::create({2, 100, ""}, functions_);
    ASSERT_TRUE(made.ok()) << made.error().message;
    runtime_ = std::move(*made);
  }

  struct Running {
    std::shared_ptr<wasm::GuestInstance> instance;
    wasm::Ending ending;
  };
  Running launch(const std::string& wat) {
    const std::vector<uint8_t> binary = wasm::from_text(wat);
    auto compiled = runtime_->compile(binary, wasm::hash_of(wat));
    EXPECT_TRUE(compiled.ok()) << compiled.error().message;
    Running running;
    if (!compiled.ok()) return running;
    wasm::InstanceSpec spec;
    spec.component = *compiled;
    spec.on_end = running.ending.callback();
    spec.contexts[wasm::kWasiContext] = make_wasi_context(
        {{"program", "--flag"}, output_, [this](uint64_t ns) { return runtime_->timer(ns); }});
    auto launched = runtime_->launch(std::move(spec));
    EXPECT_TRUE(launched.ok());
    running.instance = *launched;
    return running;
  }
  wasm::Outcome run(const std::string& wat) { return launch(wat).ending.wait(); }

  std::shared_ptr<FakeOutput> output_ = std::make_shared<FakeOutput>();
  wasm::HostFunctions functions_;
  std::unique_ptr<wasm::Runtime> runtime_;
};

/// A program over stdio, clocks, random and poll; `body` is the rest of its core module, with
/// memory 0, $ok, and the text "hello\n" at 16.
std::string program(const std::string& body) {
  return wasm::joined({R"((component
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $io_error))
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.ready" (func (param "self" (borrow $p)) (result bool)))
    (export "[method]pollable.block" (func (param "self" (borrow $p))))
    (export "poll" (func (param "in" (list (borrow $p))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $io_error (type $e0)) (export "error" (type $e (eq $e0)))
    (alias outer 1 $pollable (type $p0)) (export "pollable" (type $p (eq $p0)))
    (type $se0 (variant (case "last-operation-failed" (own $e)) (case "closed")))
    (export "stream-error" (type $se (eq $se0)))
    (export "input-stream" (type $in (sub resource)))
    (export "output-stream" (type $out (sub resource)))
    (export "[method]input-stream.blocking-read" (func (param "self" (borrow $in)) (param "len" u64) (result (result (list u8) (error $se)))))
    (export "[method]output-stream.check-write" (func (param "self" (borrow $out)) (result (result u64 (error $se)))))
    (export "[method]output-stream.write" (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $se)))))
    (export "[method]output-stream.blocking-write-and-flush" (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $se)))))
    (export "[method]output-stream.subscribe" (func (param "self" (borrow $out)) (result (own $p))))
    (export "[method]output-stream.splice" (func (param "self" (borrow $out)) (param "src" (borrow $in)) (param "len" u64) (result (result u64 (error $se)))))))
  (alias export $streams "input-stream" (type $input))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin
    (alias outer 1 $input (type $i0)) (export "input-stream" (type $i (eq $i0)))
    (export "get-stdin" (func (result (own $i))))))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output (type $o0)) (export "output-stream" (type $o (eq $o0)))
    (export "get-stdout" (func (result (own $o))))))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr
    (alias outer 1 $output (type $o0)) (export "output-stream" (type $o (eq $o0)))
    (export "get-stderr" (func (result (own $o))))))
  (import "wasi:cli/environment@0.2.0" (instance $env
    (export "get-arguments" (func (result (list string))))))
  (import "wasi:cli/exit@0.2.0" (instance $exits
    (export "exit" (func (param "status" (result))))))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $p0)) (export "pollable" (type $p (eq $p0)))
    (export "now" (func (result u64)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))
    (export "subscribe-instant" (func (param "when" u64) (result (own $p))))))
  (import "wasi:clocks/wall-clock@0.2.0" (instance $wall
    (type $d0 (record (field "seconds" u64) (field "nanoseconds" u32)))
    (export "datetime" (type $d (eq $d0)))
    (export "now" (func (result $d)))))
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
  (core module $mem (memory (export "memory") 64)
    (global $top (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get 3))) (local.get $at)))
  (core instance $M (instantiate $mem))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $ready (canon lower (func $poll "[method]pollable.ready")))
  (core func $wait (canon lower (func $poll "poll") (memory (core memory $M "memory")) (realloc (core func $M "realloc"))))
  (core func $read (canon lower (func $streams "[method]input-stream.blocking-read") (memory (core memory $M "memory")) (realloc (core func $M "realloc"))))
  (core func $check (canon lower (func $streams "[method]output-stream.check-write") (memory (core memory $M "memory"))))
  (core func $write (canon lower (func $streams "[method]output-stream.write") (memory (core memory $M "memory"))))
  (core func $blocking (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory (core memory $M "memory"))))
  (core func $subscribe (canon lower (func $streams "[method]output-stream.subscribe")))
  (core func $splice (canon lower (func $streams "[method]output-stream.splice") (memory (core memory $M "memory"))))
  (core func $get_stdin (canon lower (func $stdin "get-stdin")))
  (core func $get_stdout (canon lower (func $stdout "get-stdout")))
  (core func $get_stderr (canon lower (func $stderr "get-stderr")))
  (core func $arguments (canon lower (func $env "get-arguments") (memory (core memory $M "memory")) (realloc (core func $M "realloc"))))
  (core func $exit (canon lower (func $exits "exit")))
  (core func $now (canon lower (func $clock "now")))
  (core func $after (canon lower (func $clock "subscribe-duration")))
  (core func $at (canon lower (func $clock "subscribe-instant")))
  (core func $wall_now (canon lower (func $wall "now") (memory (core memory $M "memory"))))
  (core func $bytes (canon lower (func $random "get-random-bytes") (memory (core memory $M "memory")) (realloc (core func $M "realloc"))))
  (core module $m
    (import "h" "memory" (memory 1))
    (import "h" "block" (func $block (param i32)))
    (import "h" "ready" (func $ready (param i32) (result i32)))
    (import "h" "poll" (func $poll (param i32 i32 i32)))
    (import "h" "read" (func $read (param i32 i64 i32)))
    (import "h" "check" (func $check (param i32 i32)))
    (import "h" "write" (func $write (param i32 i32 i32 i32)))
    (import "h" "blocking" (func $blocking (param i32 i32 i32 i32)))
    (import "h" "subscribe" (func $subscribe (param i32) (result i32)))
    (import "h" "splice" (func $splice (param i32 i32 i64 i32)))
    (import "h" "stdin" (func $stdin (result i32)))
    (import "h" "stdout" (func $stdout (result i32)))
    (import "h" "stderr" (func $stderr (result i32)))
    (import "h" "arguments" (func $arguments (param i32)))
    (import "h" "exit" (func $exit (param i32)))
    (import "h" "now" (func $now (result i64)))
    (import "h" "after" (func $after (param i64) (result i32)))
    (import "h" "at" (func $at (param i64) (result i32)))
    (import "h" "wall" (func $wall (param i32)))
    (import "h" "bytes" (func $bytes (param i64 i32)))
    (data (i32.const 16) "hello\n")
    (func $ok (result i32) (i32.store8 (i32.const 256) (i32.const 0)) (i32.const 256))
    (func $expect (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
    )",
                       body, R"()
  (core instance $i (instantiate $m (with "h" (instance
    (export "memory" (memory $M "memory"))
    (export "block" (func $block)) (export "ready" (func $ready)) (export "poll" (func $wait))
    (export "read" (func $read)) (export "check" (func $check)) (export "write" (func $write))
    (export "blocking" (func $blocking)) (export "subscribe" (func $subscribe))
    (export "splice" (func $splice)) (export "stdin" (func $get_stdin))
    (export "stdout" (func $get_stdout)) (export "stderr" (func $get_stderr))
    (export "arguments" (func $arguments)) (export "exit" (func $exit))
    (export "now" (func $now)) (export "after" (func $after)) (export "at" (func $at))
    (export "wall" (func $wall_now)) (export "bytes" (func $bytes))))))
  (func $run (result (result (error string))) (canon lift (core func $i "run") (memory (core memory $M "memory"))))
  (instance $inst (export "run" (func $run)))
  (export "inferlet:core/run" (instance $inst))))"});
}
std::string run_body(const std::string& code) {
  return program(wasm::joined({R"((func (export "run") (result i32) )", code, " (call $ok))"}));
}

TEST_F(WasiTest, stdout_and_stderr_reach_their_ports) {
  const wasm::Outcome outcome = run(run_body(R"(
    (call $blocking (call $stdout) (i32.const 16) (i32.const 6) (i32.const 64))
    (call $expect (i32.eqz (i32.load8_u (i32.const 64))))
    (call $blocking (call $stderr) (i32.const 16) (i32.const 4) (i32.const 64)))"));
  EXPECT_EQ(outcome.kind, Kind::kOk) << outcome.text;
  EXPECT_EQ(output_->out(), "hello\n");
  EXPECT_EQ(output_->err(), "hell");
}

TEST_F(WasiTest, write_goes_as_far_as_check_write_permitted) {
  const wasm::Outcome within = run(run_body(R"(
    (call $check (call $stdout) (i32.const 64))
    (call $expect (i64.gt_u (i64.load (i32.const 72)) (i64.const 100))))"));
  EXPECT_EQ(within.kind, Kind::kOk) << within.text;
  output_->set_capacity(3);
  const wasm::Outcome beyond = run(program(R"((func (export "run") (result i32) (local $s i32)
    (local.set $s (call $stdout)) (call $check (local.get $s) (i32.const 64))
    (call $expect (i64.eq (i64.load (i32.const 72)) (i64.const 3)))
    (call $write (local.get $s) (i32.const 16) (i32.const 4) (i32.const 64)) (call $ok)))"));
  EXPECT_EQ(beyond.kind, Kind::kTrap);
  EXPECT_NE(beyond.text.find("[method]output-stream.write: got 4 bytes, expected at most the 3"),
            std::string::npos)
      << beyond.text;
  EXPECT_EQ(output_->out(), "");
}

TEST_F(WasiTest, blocking_write_takes_4096_bytes_and_no_more) {
  EXPECT_EQ(run(run_body("(call $blocking (call $stdout) (i32.const 0) (i32.const 4096) "
                         "(i32.const 8192))"))
                .kind,
            Kind::kOk);
  EXPECT_EQ(output_->out().size(), 4096U);
  EXPECT_EQ(run(run_body("(call $blocking (call $stdout) (i32.const 0) (i32.const 4097) "
                         "(i32.const 8192))"))
                .kind,
            Kind::kTrap);
}

TEST_F(WasiTest, endless_printing_waits_for_the_log_and_loses_nothing) {
  output_->set_capacity(10'000);
  Running running =
      launch(program(R"((func (export "run") (result i32) (local $n i32) (local $s i32)
    (local.set $s (call $stdout))
    (loop $l (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (call $blocking (local.get $s) (i32.const 16) (i32.const 6) (i32.const 64))
      (br_if $l (i32.lt_u (local.get $n) (i32.const 20000))))
    (call $ok)))"));
  ASSERT_TRUE(wasm::eventually([&] { return output_->waiting() == 1; }));
  EXPECT_FALSE(running.ending.ended());
  EXPECT_LT(output_->out().size(), 10'000U + kBlockingWriteBytesMax);
  ASSERT_TRUE(wasm::eventually([&] { return output_->drain(), running.ending.ended(); }));
  EXPECT_EQ(running.ending.wait().kind, Kind::kOk);
  EXPECT_EQ(output_->out().size(), 20'000U * 6);
}

TEST_F(WasiTest, subscribe_to_a_full_log_waits_until_it_takes_output) {
  output_->set_capacity(6);
  Running running =
      launch(program(R"((func (export "run") (result i32) (local $s i32) (local $p i32)
    (local.set $s (call $stdout))
    (local.set $p (call $subscribe (local.get $s)))
    (call $expect (call $ready (local.get $p)))
    (call $blocking (local.get $s) (i32.const 16) (i32.const 6) (i32.const 64))
    (call $check (local.get $s) (i32.const 64))
    (call $expect (i64.eqz (i64.load (i32.const 72))))
    (call $expect (i32.eqz (call $ready (local.get $p))))
    (call $block (local.get $p))
    (call $check (local.get $s) (i32.const 64))
    (call $expect (i64.eq (i64.load (i32.const 72)) (i64.const 6)))
    (call $write (local.get $s) (i32.const 16) (i32.const 6) (i32.const 64))
    (call $ok)))"));
  ASSERT_TRUE(wasm::eventually([&] { return output_->waiting() == 1; }));
  output_->drain();
  const wasm::Outcome outcome = running.ending.wait();
  EXPECT_EQ(outcome.kind, Kind::kOk) << outcome.text;
  EXPECT_EQ(output_->out(), "hello\nhello\n");
}

TEST_F(WasiTest, program_that_waits_for_the_log_is_killed) {
  output_->set_capacity(0);
  Running running = launch(
      run_body("(call $blocking (call $stdout) (i32.const 16) (i32.const 6) (i32.const 64))"));
  ASSERT_TRUE(wasm::eventually([&] { return output_->waiting() == 1; }));
  running.instance->kill();
  EXPECT_EQ(running.ending.wait().kind, Kind::kKilled);
  output_->set_capacity(100);
  output_->drain();
  EXPECT_EQ(output_->out(), "");
}

TEST_F(WasiTest, stdin_is_empty_and_closed) {
  const wasm::Outcome outcome = run(run_body(R"(
    (call $read (call $stdin) (i64.const 10) (i32.const 64))
    (call $expect (i32.load8_u (i32.const 64)))
    (call $expect (i32.eq (i32.load (i32.const 68)) (i32.const 1)))
    (call $splice (call $stdout) (call $stdin) (i64.const 10) (i32.const 96))
    (call $expect (i32.load8_u (i32.const 96))))"));
  EXPECT_EQ(outcome.kind, Kind::kOk) << outcome.text;
}

TEST_F(WasiTest, arguments_are_those_of_the_launch) {
  const wasm::Outcome outcome = run(run_body(R"((call $arguments (i32.const 64))
    (call $expect (i32.eq (i32.load (i32.const 68)) (i32.const 2)))
    (call $blocking (call $stdout)
      (i32.load (i32.add (i32.load (i32.const 64)) (i32.const 8)))
      (i32.load (i32.add (i32.load (i32.const 64)) (i32.const 12))) (i32.const 128)))"));
  EXPECT_EQ(outcome.kind, Kind::kOk) << outcome.text;
  EXPECT_EQ(output_->out(), "--flag");
}

TEST_F(WasiTest, exit_ends_the_program) {
  const wasm::Outcome good = run(run_body("(call $exit (i32.const 0)) unreachable"));
  EXPECT_EQ(good.kind, Kind::kExit);
  EXPECT_EQ(good.exit_code, 0);
  const wasm::Outcome bad = run(run_body("(call $exit (i32.const 1)) unreachable"));
  EXPECT_EQ(bad.kind, Kind::kExit);
  EXPECT_EQ(bad.exit_code, 1);
}

TEST_F(WasiTest, clocks_run_and_wake) {
  const wasm::Outcome outcome = run(program(R"((func (export "run") (result i32) (local $t i64)
    (local.set $t (call $now))
    (call $block (call $after (i64.const 3000000)))
    (call $expect (i64.ge_u (i64.sub (call $now) (local.get $t)) (i64.const 3000000)))
    (local.set $t (i64.add (call $now) (i64.const 2000000)))
    (call $block (call $at (local.get $t)))
    (call $expect (i64.ge_u (call $now) (local.get $t)))
    (call $block (call $at (i64.const 0)))
    (call $wall (i32.const 64))
    (call $expect (i64.gt_u (i64.load (i32.const 64)) (i64.const 1700000000)))
    (call $expect (i32.lt_u (i32.load (i32.const 72)) (i32.const 1000000000)))
    (call $ok)))"));
  EXPECT_EQ(outcome.kind, Kind::kOk) << outcome.text;
}

TEST_F(WasiTest, poll_of_an_empty_list_traps) {
  const wasm::Outcome outcome =
      run(run_body("(call $poll (i32.const 0) (i32.const 0) (i32.const 64))"));
  EXPECT_EQ(outcome.kind, Kind::kTrap);
  EXPECT_EQ(outcome.text.find("wasi:io/poll#poll: got an empty list"), 0U) << outcome.text;
}

TEST_F(WasiTest, random_bytes_come_in_bounded_amounts) {
  const wasm::Outcome outcome = run(run_body(R"((call $bytes (i64.const 32) (i32.const 64))
    (call $expect (i32.eq (i32.load (i32.const 68)) (i32.const 32)))
    (call $expect (i64.ne (i64.load (i32.load (i32.const 64))) (i64.const 0))))"));
  EXPECT_EQ(outcome.kind, Kind::kOk) << outcome.text;
  EXPECT_EQ(run(run_body("(call $bytes (i64.const 0x7fffffffffffffff) (i32.const 64))")).kind,
            Kind::kTrap);
}

TEST_F(WasiTest, sockets_are_refused_by_their_result_type) {
  const wasm::Outcome outcome = run(R"((component
  (import "wasi:sockets/network@0.2.5" (instance $net
    (export "network" (type (sub resource)))
    (type $ec (enum "unknown" "access-denied" "not-supported"))
    (export "error-code" (type (eq $ec)))
    (type $af (enum "ipv4" "ipv6")) (export "ip-address-family" (type (eq $af)))))
  (alias export $net "error-code" (type $ec)) (alias export $net "ip-address-family" (type $af))
  (alias export $net "network" (type $nw))
  (import "wasi:sockets/instance-network@0.2.5" (instance $inw
    (alias outer 1 $nw (type $n0)) (export "network" (type $n (eq $n0)))
    (export "instance-network" (func (result (own $n))))))
  (import "wasi:sockets/tcp@0.2.5" (instance $tcp (export "tcp-socket" (type (sub resource)))))
  (alias export $tcp "tcp-socket" (type $ts))
  (import "wasi:sockets/tcp-create-socket@0.2.5" (instance $cs
    (alias outer 1 $ec (type $e0)) (export "error-code" (type $e (eq $e0)))
    (alias outer 1 $af (type $a0)) (export "ip-address-family" (type $a (eq $a0)))
    (alias outer 1 $ts (type $t0)) (export "tcp-socket" (type $t (eq $t0)))
    (export "create-tcp-socket" (func (param "address-family" $a) (result (result (own $t) (error $e)))))))
  (core module $mem (memory (export "memory") 1))
  (core instance $M (instantiate $mem))
  (core func $c (canon lower (func $cs "create-tcp-socket") (memory (core memory $M "memory"))))
  (core func $n (canon lower (func $inw "instance-network")))
  (core module $m (import "h" "c" (func $c (param i32 i32))) (import "h" "n" (func $n (result i32)))
    (import "h" "memory" (memory 1))
    (func (export "run") (result i32)
      (drop (call $n))
      (call $c (i32.const 0) (i32.const 0))
      (if (i32.ne (i32.load8_u (i32.const 0)) (i32.const 1)) (then unreachable))
      (if (i32.ne (i32.load8_u (i32.const 4)) (i32.const 1)) (then unreachable))
      (i32.store (i32.const 256) (i32.const 0)) (i32.const 256)))
  (core instance $i (instantiate $m (with "h" (instance (export "c" (func $c)) (export "n" (func $n)) (export "memory" (memory $M "memory"))))))
  (func $run (result (result (error string))) (canon lift (core func $i "run") (memory (core memory $M "memory"))))
  (instance $inst (export "run" (func $run)))
  (export "inferlet:core/run" (instance $inst))))");
  EXPECT_EQ(outcome.kind, Kind::kOk) << outcome.text;
}

}  // namespace
}  // namespace pie::wasi
