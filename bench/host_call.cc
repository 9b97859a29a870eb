// Measures calls of host functions by a program: what lifting, lowering and the way through
// wasmtime cost, by the kind of what crosses. CPU time of the worker's thread, the least of many
// repetitions.
//
//   host_call [REPETITIONS]
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <future>
#include <limits>
#include <string>
#include <vector>

#include "wasm/runtime.h"
#include "wasm/text_format.h"
#include "wasm/wit_described.h"
#include "wasm/wit_result.h"

namespace pie {
namespace {

constexpr uint32_t kCallsPerRepetition = 500;

/// A kind of call: its name here, its type and core type, and the call of it.
struct Case {
  const char *name, *type, *core, *call;
};
// Of the program's memory: 256 numbers at 1,024, text at 4,096, rows of texts at 8,192.
constexpr Case kCases[] = {
    {"nothing", "", "", "(call $f0)"},
    {"u32s-in", R"((param "a" (list u32)))", "(param i32 i32)",
     "(call $f1 (i32.const 1024) (i32.const 256))"},
    {"u32s-out", "(result (list u32))", "(param i32)", "(call $f2 (i32.const 64))"},
    {"text-in", R"((param "a" string))", "(param i32 i32)",
     "(call $f3 (i32.const 4096) (i32.const 64))"},
    {"text-out", "(result string)", "(param i32)", "(call $f4 (i32.const 64))"},
    {"records-in", R"((param "a" (list $row)))", "(param i32 i32)",
     "(call $f5 (i32.const 8192) (i32.const 4))"},
    {"records-out", "(result (result (list $row) (error string)))", "(param i32)",
     "(call $f6 (i32.const 64))"},
    {"handle", R"((param "self" (borrow $thing)) (result u32))", "(param i32) (result i32)",
     "(drop (call $f7 (global.get $held)))"},
    {"wait", "(result (option u32))", "(param i32)", "(call $f8 (i32.const 64))"},
    {"u32s-in-twice",
     R"((param "self" (borrow $thing)) (param "a" (list u32)) (param "b" (list u32)))",
     "(param i32 i32 i32 i32 i32)",
     "(call $f9 (global.get $held) (i32.const 1024) (i32.const 16) (i32.const 1024) (i32.const "
     "16))"},
};
constexpr size_t kCaseCount = std::size(kCases);

/// A component that makes every kind of call over and over, between marks.
std::string component_text(uint32_t repetitions) {
  std::string types, lowered, imports, given, loops;
  for (size_t i = 0; i < kCaseCount; ++i) {
    const Case& one = kCases[i];
    types += fmt::format("(export \"{}\" (func {}))\n", one.name, one.type);
    lowered += fmt::format(
        "(core func $f{} (canon lower (func $calls \"{}\") (memory $memory) (realloc $realloc)))\n",
        i, one.name);
    imports += fmt::format("(import \"h\" \"{}\" (func $f{} {}))\n", one.name, i, one.core);
    given += fmt::format("(export \"{}\" (func $f{}))", one.name, i);
    loops += fmt::format(
        "(call $mark (i32.const {0})) (local.set $n (i32.const {1}))\n"
        "(loop $l {2} (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))\n"
        "(call $mark (i32.const {3}))\n",
        i, kCallsPerRepetition, one.call, i + kCaseCount);
  }
  return fmt::format(
      R"((component
  (import "inferlet:bench/calls" (instance $calls
    (export "thing" (type $thing (sub resource)))
    (type $row0 (record (field "role" string) (field "content" string)))
    (export "row" (type $row (eq $row0)))
    (export "make" (func (result (own $thing))))
    (export "mark" (func (param "at" u32)))
    {0}))
  (core module $m
    (memory (export "memory") 64)
    (data (i32.const 8192) "\00\10\00\00\04\00\00\00\00\10\00\00\14\00\00\00\00\10\00\00\04\00\00\00\00\10\00\00\14\00\00\00\00\10\00\00\04\00\00\00\00\10\00\00\14\00\00\00\00\10\00\00\04\00\00\00\00\10\00\00\14\00\00\00")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $M (instantiate $m))
  (alias core export $M "memory" (core memory $memory))
  (alias core export $M "realloc" (core func $realloc))
  (core func $make (canon lower (func $calls "make")))
  (core func $mark (canon lower (func $calls "mark")))
  {1}
  (core module $program
    (import "h" "make" (func $make (result i32)))
    (import "h" "mark" (func $mark (param i32)))
    (import "h" "memory" (memory 1))
    {2}
    (global $held (mut i32) (i32.const 0))
    (func (export "run") (result i32) (local $n i32) (local $r i32)
      (global.set $held (call $make))
      (local.set $r (i32.const {3}))
      (loop $again {4}
        (br_if $again (local.tee $r (i32.sub (local.get $r) (i32.const 1)))))
      (i32.store8 (i32.const 256) (i32.const 0)) (i32.const 256)))
  (core instance $i (instantiate $program (with "h" (instance
    (export "make" (func $make)) (export "mark" (func $mark)) (export "memory" (memory $memory))
    {5}))))
  (func $run (result (result (error string))) (canon lift (core func $i "run") (memory $memory)))
  (instance $inst (export "run" (func $run)))
  (export "inferlet:core/run" (instance $inst))))",
      types, lowered, imports, repetitions, loops, given);
}

uint64_t thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

/// The least time of each case.
struct Times {
  uint64_t begun_ns = 0;
  std::vector<uint64_t> least_ns =
      std::vector<uint64_t>(kCaseCount, std::numeric_limits<uint64_t>::max());

  void mark(uint32_t at) {
    if (at < kCaseCount)
      begun_ns = thread_cpu_ns();
    else
      least_ns[at - kCaseCount] = std::min(least_ns[at - kCaseCount], thread_cpu_ns() - begun_ns);
  }
};

struct Thing final : wasm::Object {
  static constexpr std::string_view kResource = "inferlet:bench/calls/thing";
};
struct Row {
  std::string role, content;
};
constexpr auto wit_type(const Row*) {
  return wasm::record(wasm::field("role", &Row::role), wasm::field("content", &Row::content));
}

void define_calls(wasm::HostFunctions& functions, Times& times) {
  const std::string calls = "inferlet:bench/calls";
  const std::string text(64, 'x');
  functions.resource(Thing::kResource);
  functions.add(calls, "make", [] { return std::make_shared<Thing>(); });
  functions.add(calls, "mark", [&times](uint32_t at) { times.mark(at); });
  functions.add(calls, "nothing", [] {});
  functions.add(calls, "u32s-in", [](const std::vector<uint32_t>&) {});
  functions.add(calls, "u32s-out", [] { return std::vector<uint32_t>(256, 7); });
  functions.add(calls, "text-in", [](std::string_view) {});
  functions.add(calls, "text-out", [text] { return text; });
  functions.add(calls, "records-in", [](const std::vector<Row>&) {});
  functions.add(calls, "records-out", []() -> wasm::WitResult<std::vector<Row>, std::string> {
    return wasm::Ok(std::vector<Row>(4, {"user", "some twenty letters."}));
  });
  functions.add(calls, "handle", [](Thing&) { return 7U; });
  functions.add(calls, "wait", [] {
    return wasm::Wait<std::optional<uint32_t>>({}, [] { return std::optional(7U); });
  });
  functions.add(calls, "u32s-in-twice",
                [](Thing&, const std::vector<uint32_t>&, const std::vector<uint32_t>&) {});
}

int run(uint32_t repetitions) {
  Times times;
  wasm::HostFunctions functions;
  define_calls(functions, times);
  auto runtime = wasm::Runtime::create({.worker_count = 1}, functions);
  auto text = wasm::from_text_format(component_text(repetitions));
  if (!runtime.ok() || !text.ok())
    return fmt::print("{}\n", text.ok() ? runtime.error().message : text.error().message), 1;
  auto component = (*runtime)->compile(*text, "host_call");
  if (!component.ok()) return fmt::print("{}\n", component.error().message), 1;
  std::promise<wasm::Outcome> ended;
  wasm::InstanceSpec spec;
  spec.component = *component;
  spec.on_end = [&](wasm::Outcome outcome) { ended.set_value(std::move(outcome)); };
  if (!(*runtime)->launch(std::move(spec)).ok()) return 1;
  const wasm::Outcome outcome = ended.get_future().get();
  if (outcome.kind != wasm::Outcome::Kind::kOk) return fmt::print("{}\n", outcome.text), 1;
  for (size_t i = 0; i < kCaseCount; ++i)
    fmt::print("{:14} {:8.0f} ns a call\n", kCases[i].name,
               static_cast<double>(times.least_ns[i]) / kCallsPerRepetition);
  return 0;
}

}  // namespace
}  // namespace pie

int main(int argc, char** argv) {
  return pie::run(argc > 1 ? static_cast<uint32_t>(std::atoi(argv[1])) : 400);
}
