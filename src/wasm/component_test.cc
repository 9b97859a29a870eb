// Which components are accepted, why others are not, and the cache of compiled ones.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "wasm/runtime.h"
#include "wasm/test_support.h"

namespace pie::wasm {
namespace {

const char* const kReturnsOk = R"((memory (export "memory") 1)
  (func (export "run") (result i32) (i32.store8 (i32.const 256) (i32.const 0)) (i32.const 256)))";

class ComponentTest : public testing::Test {
 protected:
  void SetUp() override { start(); }

  void start(uint64_t cache_bytes_max = 1ULL << 30) {
    runtime_.reset();
    auto made = Runtime::create({2, 100, folder_.path(), cache_bytes_max}, functions_);
    ASSERT_TRUE(made.ok()) << made.error().message;
    runtime_ = std::move(*made);
  }
  std::string refusal_of(const std::vector<uint8_t>& wasm) {
    const auto compiled = runtime_->compile(wasm, "hash");
    if (compiled.ok()) return "accepted";
    EXPECT_EQ(compiled.error().code, ErrorCode::kInvalidArgument);
    return compiled.error().message;
  }
  std::string refusal_of(const std::string& wat) { return refusal_of(from_text(wat)); }

  Outcome run(const std::shared_ptr<const Component>& component) {
    Ending ending;
    InstanceSpec spec;
    spec.component = component;
    spec.on_end = ending.callback();
    EXPECT_TRUE(runtime_->launch(std::move(spec)).ok());
    return ending.wait();
  }
  std::vector<std::filesystem::path> cached() const {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
      files.push_back(entry.path());
    return files;
  }

  ScratchFolder folder_;
  HostFunctions functions_;
  std::unique_ptr<Runtime> runtime_;
};

/// A program with one more import.
std::string importing(const std::string& import) {
  std::string wat = standalone(kReturnsOk);
  return wat.insert(std::string("(component").size(), " " + import);
}

TEST_F(ComponentTest, what_is_no_component_is_refused_with_the_reason) {
  EXPECT_NE(refusal_of(std::vector<uint8_t>{}).find("got 0 bytes that are not WebAssembly"),
            std::string::npos);
  EXPECT_NE(refusal_of(std::vector<uint8_t>(100, 'x')).find("not WebAssembly"), std::string::npos);
  EXPECT_NE(refusal_of(std::string("(module)")).find("got a core module, expected a component"),
            std::string::npos);
  std::vector<uint8_t> cut = from_text(standalone(kReturnsOk));
  cut.resize(cut.size() / 2);
  EXPECT_NE(refusal_of(cut).find("does not compile"), std::string::npos);
}

TEST_F(ComponentTest, what_was_refused_is_not_kept_and_removes_nothing) {
  ASSERT_TRUE(runtime_->compile(from_text(standalone(kReturnsOk)), "good").ok());
  start(1);  // the next file that is kept removes the others
  EXPECT_NE(refusal_of(std::string("(component (core module))")).find("without the export"),
            std::string::npos);
  ASSERT_EQ(cached().size(), 1U);
  EXPECT_EQ(cached()[0].filename().string().find("good-"), 0U);
}

TEST_F(ComponentTest, more_memories_and_tables_than_allowed_are_refused_by_name) {
  const auto with = [](const std::string& fields, int times) {
    std::string wat = standalone(kReturnsOk);
    std::string more = "(core module $more " + fields + ")";
    for (int i = 0; i < times; ++i) more += " (core instance (instantiate $more))";
    return wat.insert(std::string("(component").size(), " " + more);
  };
  EXPECT_TRUE(runtime_->compile(from_text(with("(memory 0)", 3)), "four").ok());
  EXPECT_EQ(refusal_of(with("(memory 0)", 4)).find("[component] got 5 linear memories, expected"),
            0U);
  EXPECT_EQ(refusal_of(with("(table 1 funcref)", 101)).find("[component] got 101 tables"), 0U);
  EXPECT_EQ(refusal_of(with("(table 65537 funcref)", 1))
                .find("[component] got 65537 elements of a table, expected at most 65536"),
            0U);
}

TEST_F(ComponentTest, program_without_run_is_refused) {
  EXPECT_NE(refusal_of(std::string("(component)")).find("without the export 'inferlet:core/run'"),
            std::string::npos);
}

TEST_F(ComponentTest, run_of_another_shape_is_refused) {
  const std::string message = refusal_of(std::string(R"((component
    (core module $m (func (export "run") (result i32) (i32.const 0)))
    (core instance $i (instantiate $m))
    (func $run (result u32) (canon lift (core func $i "run")))
    (instance $inst (export "run" (func $run)))
    (export "inferlet:core/run" (instance $inst))))"));
  EXPECT_NE(message.find("expected 'run: func() -> result<_, string>'"), std::string::npos)
      << message;
}

TEST_F(ComponentTest, unknown_imports_are_refused_by_name) {
  for (const char* import : {R"((import "acme:rockets/engine" (instance (export "go" (func)))))",
                             R"((import "pie:moon/base@1.0.0" (instance (export "go" (func)))))",
                             R"((import "plain" (func)))"}) {
    const std::string message = refusal_of(importing(import));
    EXPECT_NE(message.find("got the import '"), std::string::npos) << message;
  }
  EXPECT_NE(refusal_of(importing(R"((import "acme:rockets/engine" (instance)))"))
                .find("'acme:rockets/engine'"),
            std::string::npos);
}

TEST_F(ComponentTest, other_generations_of_wasi_are_refused) {
  const std::string message =
      refusal_of(importing(R"((import "wasi:clocks/wall-clock@0.3.0" (instance)))"));
  EXPECT_NE(message.find("wasi:clocks/wall-clock@0.3.0"), std::string::npos) << message;
  EXPECT_NE(message.find("expected WASI 0.2.x"), std::string::npos) << message;
}

TEST_F(ComponentTest, unserved_interfaces_link_and_fail_when_called) {
  functions_.unserved("inferlet:actor", "inferlet:actor is not served");
  start();
  const auto calling = [&](const std::string& interface) {
    const auto wasm = from_text(joined({R"((component
      (import ")",
                                        interface, R"(" (instance $a (export "go" (func))))
      (core func $go (canon lower (func $a "go")))
      (core module $m (import "h" "go" (func $go)) (memory (export "memory") 1)
        (func (export "run") (result i32) (call $go) (i32.const 256)))
      (core instance $i (instantiate $m (with "h" (instance (export "go" (func $go))))))
      (func $run (result (result (error string))) (canon lift (core func $i "run") (memory (core memory $i "memory"))))
      (instance $inst (export "run" (func $run)))
      (export "inferlet:core/run" (instance $inst))))"}));
    auto compiled = runtime_->compile(wasm, hash_of(interface));
    EXPECT_TRUE(compiled.ok()) << compiled.error().message;
    return run(*compiled);
  };
  EXPECT_EQ(calling("inferlet:actor/common").text.find("inferlet:actor is not served"), 0U);
  EXPECT_EQ(calling("inferlet:core/later").text.find("inferlet:core/later#go is not served"), 0U);
  // No result: nothing to refuse, so the call does nothing.
  EXPECT_EQ(calling("wasi:logging/logging@0.2.0").kind, Outcome::Kind::kOk);
}

TEST_F(ComponentTest, exports_are_known_by_interface) {
  const auto compiled = runtime_->compile(from_text(standalone(kReturnsOk)), "hash");
  ASSERT_TRUE(compiled.ok());
  EXPECT_TRUE((*compiled)->exports("inferlet:core/run"));
  EXPECT_FALSE((*compiled)->exports("wasi:http/incoming-handler"));
  EXPECT_EQ((*compiled)->hash(), "hash");
}

/// A component whose `handle` has these parameters, in core and component form.
std::string handler(const std::string& core, const std::string& parameters,
                    const std::string& version) {
  return joined({R"((component (core module $m (func (export "handle") )", core, R"())
    (core instance $i (instantiate $m))
    (func $handle )",
                 parameters, R"( (canon lift (core func $i "handle")))
    (instance $inst (export "handle" (func $handle)))
    (export "wasi:http/incoming-handler@)",
                 version, R"(" (instance $inst))))"});
}

TEST_F(ComponentTest, http_handler_of_another_shape_or_version_is_refused) {
  const auto shape = runtime_->compile(from_text(handler("", "", "0.2.3")), "shape");
  ASSERT_FALSE(shape.ok());
  EXPECT_NE(shape.error().message.find("another shape"), std::string::npos);
  const std::string two = R"((param "request" u32) (param "response-out" u32))";
  EXPECT_FALSE(runtime_->compile(from_text(handler("(param i32 i32)", two, "0.3.0")), "v").ok());
}

TEST_F(ComponentTest, http_handler_is_accepted_but_not_run) {
  const std::string two = R"((param "request" u32) (param "response-out" u32))";
  const auto compiled =
      runtime_->compile(from_text(handler("(param i32 i32)", two, "0.2.3")), "hash");
  ASSERT_TRUE(compiled.ok()) << compiled.error().message;
  EXPECT_TRUE((*compiled)->exports("wasi:http/incoming-handler"));
  InstanceSpec spec;
  spec.component = *compiled;
  EXPECT_FALSE(runtime_->launch(std::move(spec)).ok());
}

TEST_F(ComponentTest, hash_that_is_a_path_is_refused) {
  const auto compiled = runtime_->compile(from_text(standalone(kReturnsOk)), "../../etc/passwd");
  ASSERT_FALSE(compiled.ok());
  EXPECT_EQ(compiled.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ComponentTest, compiled_form_is_kept_and_found_again) {
  const auto wasm = from_text(standalone(kReturnsOk));
  ASSERT_TRUE(runtime_->compile(wasm, "abc").ok());
  ASSERT_EQ(cached().size(), 1U);
  EXPECT_EQ(cached()[0].filename().string().find("abc-"), 0U);
  const auto written = std::filesystem::last_write_time(cached()[0]);
  start();
  const auto again = runtime_->compile(wasm, "abc");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(run(*again).kind, Outcome::Kind::kOk);
  EXPECT_EQ(cached().size(), 1U);
  EXPECT_EQ(std::filesystem::last_write_time(cached()[0]), written);
}

TEST_F(ComponentTest, what_the_installation_has_compiled_is_used_and_never_written) {
  const auto wasm = from_text(standalone(kReturnsOk));
  const ScratchFolder installed;
  const auto file = compile_into(installed.path(), 1, wasm, "abc");
  ASSERT_TRUE(file.ok()) << file.error().message;
  const auto compile = [&] {
    auto runtime = Runtime::create(
        {.cache_folder = folder_.path(), .installed_folder = installed.path()}, functions_);
    ASSERT_TRUE(runtime.ok());
    runtime_ = std::move(*runtime);
    const auto compiled = runtime_->compile(wasm, "abc");
    ASSERT_TRUE(compiled.ok()) << compiled.error().message;
    EXPECT_EQ(run(*compiled).kind, Outcome::Kind::kOk);
  };
  compile();
  EXPECT_EQ(cached().size(), 0U);
  // Damaged: compiled by whoever needs it, in a folder of its own.
  ASSERT_TRUE(write_file_atomically(*file, "rubbish").ok());
  compile();
  EXPECT_EQ(cached().size(), 1U);
  EXPECT_EQ(*read_file(*file), "rubbish");
  // The next installation makes it anew, and what it replaces goes.
  ASSERT_TRUE(compile_into(installed.path(), 1, wasm, "abc").ok());
  EXPECT_GT(std::filesystem::file_size(*file), 1000U);
  const auto other = compile_into(installed.path(), 1, wasm, "other");
  ASSERT_TRUE(other.ok()) << other.error().message;
  EXPECT_FALSE(std::filesystem::exists(*file));
  EXPECT_TRUE(std::filesystem::exists(*other));
}

TEST_F(ComponentTest, damaged_compiled_form_is_made_anew) {
  const auto wasm = from_text(standalone(kReturnsOk));
  ASSERT_TRUE(runtime_->compile(wasm, "abc").ok());
  const std::filesystem::path file = cached().at(0);
  const std::string whole = *read_file(file);
  std::vector<std::string> damaged = {"", "rubbish", whole.substr(0, whole.size() / 2),
                                      whole.substr(0, whole.size() - 1), whole + "x"};
  for (size_t i = 0; i < 16; ++i) {
    damaged.push_back(whole);
    damaged.back()[i * whole.size() / 16 + 7] ^= 0x10;
  }
  for (const std::string& bytes : damaged) {
    // In its place, not in it: a component that runs is mapped from its file.
    ASSERT_TRUE(write_file_atomically(file, bytes).ok());
    start();
    const auto compiled = runtime_->compile(wasm, "abc");
    ASSERT_TRUE(compiled.ok()) << compiled.error().message;
    EXPECT_EQ(run(*compiled).kind, Outcome::Kind::kOk);
    EXPECT_EQ(*read_file(file), whole);
  }
}

TEST_F(ComponentTest, compiled_form_of_another_engine_or_cpu_is_not_used_whatever_its_name) {
  const auto wasm = from_text(standalone(kReturnsOk));
  ASSERT_TRUE(runtime_->compile(wasm, "abc").ok());
  const std::filesystem::path file = cached().at(0);
  const std::string whole = *read_file(file);
  // Under the name of another fingerprint: left alone, and a file of ours is made beside it.
  const std::filesystem::path others = folder_.path() / "abc-0123456789abcdef.cwasm";
  std::filesystem::rename(file, others);
  start();
  ASSERT_TRUE(runtime_->compile(wasm, "abc").ok());
  EXPECT_EQ(cached().size(), 2U);
  EXPECT_EQ(*read_file(file), whole);
  // Under our name, but made by another: not used, and replaced.
  const std::string ours = file.stem().string().substr(4);
  std::string foreign = whole;
  ASSERT_NE(foreign.rfind(ours), std::string::npos);
  foreign.replace(foreign.rfind(ours), ours.size(), "0123456789abcdef");
  ASSERT_TRUE(write_file_atomically(file, foreign).ok());
  start();
  const auto compiled = runtime_->compile(wasm, "abc");
  ASSERT_TRUE(compiled.ok()) << compiled.error().message;
  EXPECT_EQ(run(*compiled).kind, Outcome::Kind::kOk);
  EXPECT_EQ(*read_file(file), whole);
}

TEST_F(ComponentTest, files_that_were_used_longest_ago_make_room) {
  const auto wasm = from_text(standalone(kReturnsOk));
  const auto has = [&](const std::string& hash) {
    for (const auto& file : cached())
      if (file.filename().string().starts_with(hash + "-")) return true;
    return false;
  };
  const auto used = [&](const std::string& hash, int64_t second) {
    for (const auto& file : cached()) {
      const timespec times[2] = {{.tv_sec = second, .tv_nsec = 0}, {.tv_sec = 0, .tv_nsec = 0}};
      if (file.filename().string().starts_with(hash + "-"))
        ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
    }
  };
  ASSERT_TRUE(runtime_->compile(wasm, "first").ok());
  const uint64_t size_bytes = std::filesystem::file_size(cached().at(0));
  start(3 * size_bytes);
  std::ofstream(folder_.path() / "left-0123456789abcdef.cwasm.tmp1-2") << "a crash left it";
  std::filesystem::last_write_time(
      folder_.path() / "left-0123456789abcdef.cwasm.tmp1-2",
      std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  ASSERT_TRUE(runtime_->compile(wasm, "second").ok());
  ASSERT_TRUE(runtime_->compile(wasm, "third").ok());
  EXPECT_EQ(cached().size(), 3U);  // what the crash left is gone
  used("first", 100), used("second", 200), used("third", 300);
  start(3 * size_bytes);
  ASSERT_TRUE(runtime_->compile(wasm, "first").ok());  // loaded: the first is the last one now
  ASSERT_TRUE(runtime_->compile(wasm, "fourth").ok());
  EXPECT_TRUE(has("first") && !has("second") && has("third") && has("fourth"));
  start(1);  // the newest stays though it is too much
  ASSERT_TRUE(runtime_->compile(wasm, "fifth").ok());
  EXPECT_EQ(cached().size(), 1U);
  EXPECT_TRUE(has("fifth"));
}

TEST_F(ComponentTest, cache_folder_that_cannot_be_written_is_no_obstacle) {
  std::ofstream(folder_.path() / "file") << "x";
  auto made = Runtime::create({1, 10, folder_.path() / "file" / "folder"}, functions_);
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE((*made)->compile(from_text(standalone(kReturnsOk)), "abc").ok());
}

TEST_F(ComponentTest, one_program_asked_for_at_once_is_compiled_once) {
  const auto wasm = from_text(standalone(kReturnsOk));
  std::vector<std::shared_ptr<const Component>> all(8);
  std::vector<std::thread> threads;
  for (auto& one : all)
    threads.emplace_back([&] {
      auto compiled = runtime_->compile(wasm, "abc");
      if (compiled.ok()) one = *compiled;
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& one : all) EXPECT_TRUE(one && one == all[0]);
}

}  // namespace
}  // namespace pie::wasm
