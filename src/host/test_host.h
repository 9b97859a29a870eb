#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "host/program_host.h"
#include "host/test_engine.h"
#include "host/test_ports.h"
#include "support/test_model.h"

namespace pie::host::test {

/// A host with the program tests/programs/host_scenarios.cpp, one engine that the test answers for,
/// and ports that record.
class HostTest : public testing::Test {
 protected:
  static constexpr auto kDeadline = std::chrono::seconds(60);

  struct Run {
    std::shared_ptr<RecordingPorts> ports;
    std::shared_ptr<RunningInstance> instance;
  };

  void SetUp() override {
    static const auto model = model::Model::load(pie::test::model_path());
    ASSERT_TRUE(model.ok()) << model.error().message;
    engine = std::make_unique<ScriptedEngine>(*model);
    auto made = ProgramHost::create({.worker_count = 2,
                                     .instances_max = 64,
                                     .cache_folder = testing::TempDir() + "/pie_host_test",
                                     .server_version = "1.2.3"},
                                    {engine.get()}, kvs, bus);
    ASSERT_TRUE(made.ok()) << made.error().message;
    host = std::move(*made);
    auto wasm = read_file(PIE_HOST_SCENARIOS);
    ASSERT_TRUE(wasm.ok()) << wasm.error().message;
    auto compiled = host->compile({reinterpret_cast<const uint8_t*>(wasm->data()), wasm->size()},
                                  "host_scenarios_" + std::to_string(wasm->size()));
    ASSERT_TRUE(compiled.ok()) << compiled.error().message;
    program = *compiled;
  }

  Run launch(std::vector<std::string> arguments) {
    Run run{std::make_shared<RecordingPorts>(), nullptr};
    launch_with(run, std::move(arguments));
    return run;
  }
  /// For tests that prepare the ports.
  void launch_with(Run& run, std::vector<std::string> arguments) {
    prepare(run, std::move(arguments));
    if (run.instance) ASSERT_TRUE(run.instance->start().ok());
  }
  void prepare(Run& run, std::vector<std::string> arguments) {
    auto prepared = host->prepare({.user = user,
                                   .program = program,
                                   .arguments = std::move(arguments),
                                   .id = InstanceId(++last_id),
                                   .public_id = "instance-id",
                                   .limits = limits,
                                   .ports = run.ports});
    ASSERT_TRUE(prepared.ok()) << prepared.error().message;
    run.instance = *prepared;
  }

  static bool wait_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kDeadline;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  static bool wait_for_messages(const Run& run, size_t count) {
    return wait_until([&] { return run.ports->messages().size() >= count; });
  }
  /// How the instance ended; a deadline passed counts as a failure.
  static End wait_for_end(const Run& run) {
    const bool ended = wait_until([&] { return !run.ports->ends().empty(); });
    EXPECT_TRUE(ended) << "the instance did not end";
    return ended ? run.ports->ends().front() : End{EndKind::kServerError, "(no end)"};
  }
  End run_to_end(std::vector<std::string> arguments, Run* run_out = nullptr) {
    Run run = launch(std::move(arguments));
    End end = wait_for_end(run);
    if (run_out != nullptr) *run_out = run;
    return end;
  }

  MemoryKvs kvs;
  MemoryBus bus;
  InstanceLimits limits;
  std::string user = "alice";
  std::unique_ptr<ScriptedEngine> engine;
  std::unique_ptr<ProgramHost> host;
  std::shared_ptr<const Program> program;
  uint64_t last_id = 0;
};

}  // namespace pie::host::test
