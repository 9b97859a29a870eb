#include "host/program_host.h"

#include <utility>

#include "host/define.h"
#include "host/instance_state.h"
#include "host/running_program.h"
#include "wasi/wasi.h"
#include "wasm/runtime.h"

namespace pie::host {
namespace {

constexpr const char* kRunInterface = "inferlet:core/run";
constexpr const char* kHttpInterface = "wasi:http/incoming-handler";

class CompiledProgram final : public Program {
 public:
  CompiledProgram(std::shared_ptr<const wasm::Component> component, std::string hash,
                  BlobRef source)
      : component_(std::move(component)),
        hash_(std::move(hash)),
        source_(std::move(source)),
        http_(component_->exports(kHttpInterface)) {}
  const std::string& hash() const override { return hash_; }
  BlobRef source() const override { return source_; }
  bool serves_http() const override { return http_; }
  const std::shared_ptr<const wasm::Component>& component() const { return component_; }

 private:
  std::shared_ptr<const wasm::Component> component_;
  std::string hash_;
  BlobRef source_;
  bool http_;
};

/// Both `get-arguments` hand all of them over in one call.
Result<void> check_arguments(const std::vector<std::string>& arguments) {
  constexpr size_t kCountMax = 65'536;
  if (arguments.size() <= kCountMax) return {};
  return Error{ErrorCode::kInvalidArgument, "[launch] got " + std::to_string(arguments.size()) +
                                                " arguments, expected at most " +
                                                std::to_string(kCountMax)};
}

/// One job waits for each instance at most, because its program waits too.
WorkQueue::Config background_config(const HostConfig& config) {
  return {.name = "text work",
          .thread_count = 2,
          .owner_running_max = 1,
          .owner_pending_max = config.instances_max,
          .pending_max = 2 * config.instances_max};
}

class WasmProgramHost final : public ProgramHost {
 public:
  WasmProgramHost(const HostConfig& config, std::vector<engine::Engine*> engines, KeyValues& kvs,
                  Bus& bus, OutgoingHttp* http)
      : background_(background_config(config)),
        services_{{},    config.model_aliases, kvs, bus, config.server_version, background_,
                  disk_, program_cache_} {
    for (engine::Engine* engine : engines)
      services_.models.push_back(
          std::make_unique<ModelService>(*engine, static_cast<uint32_t>(services_.models.size())));
    machinery_->engines = std::move(engines);
    machinery_->http = http;
    wasi::define_wasi(functions_);
    define_host(functions_);
  }

  ~WasmProgramHost() override {
    runtime_ = nullptr;  // kills what runs
    machinery_->running.wait_for_none();
  }

  Result<void> start(const HostConfig& config) {
    auto runtime = wasm::Runtime::create({.worker_count = config.worker_count,
                                          .instances_max = config.instances_max,
                                          .cache_folder = config.cache_folder,
                                          .cache_bytes_max = config.cache_bytes_max,
                                          .installed_folder = config.installed_folder},
                                         functions_);
    if (!runtime.ok()) return std::move(runtime).error();
    runtime_ = std::move(*runtime);
    machinery_->runtime = runtime_.get();
    return {};
  }

  Result<std::shared_ptr<const Program>> compile(std::span<const uint8_t> wasm,
                                                 const std::string& hash) override {
    PIE_TRY_ASSIGN(auto component, runtime_->compile(wasm, hash));
    if (!component->exports(kRunInterface) && !component->exports(kHttpInterface))
      return Error{ErrorCode::kInvalidArgument,
                   "[program] got a component that exports neither inferlet:core/run nor "
                   "wasi:http/incoming-handler, expected one of them"};
    return std::shared_ptr<const Program>(
        std::make_shared<CompiledProgram>(std::move(component), hash, nullptr));
  }

  Result<std::shared_ptr<const Program>> with_source(const std::shared_ptr<const Program>& runtime,
                                                     BlobRef source, std::string hash) override {
    PIE_TRY_ASSIGN(const auto compiled, compiled_of(runtime));
    return std::shared_ptr<const Program>(std::make_shared<CompiledProgram>(
        compiled->component(), std::move(hash), std::move(source)));
  }

  Result<std::shared_ptr<RunningInstance>> prepare(LaunchSpec spec) override {
    PIE_TRY_ASSIGN(const auto program, compiled_of(spec.program));
    PIE_TRY(check_arguments(spec.arguments));
    auto state = std::make_unique<InstanceState>(services_, std::move(spec));
    for (const std::string& argument : state->arguments)  // kept here and for WASI
      PIE_TRY(state->argument_charge.try_add(2 * (sizeof(argument) + argument.size())));
    return std::shared_ptr<RunningInstance>(
        std::make_shared<RunningProgram>(machinery_, program->component(), std::move(state)));
  }

 private:
  static Result<std::shared_ptr<const CompiledProgram>> compiled_of(
      const std::shared_ptr<const Program>& program) {
    if (auto compiled = std::dynamic_pointer_cast<const CompiledProgram>(program)) return compiled;
    return Error{ErrorCode::kInvalidArgument,
                 "[launch] got no program of this host, expected one from compile()"};
  }

  WorkQueue background_;
  WorkQueue disk_{{.name = "blobs", .owner_pending_max = 16'384}};
  ProgramCache program_cache_;
  Services services_;
  wasm::HostFunctions functions_;
  const std::shared_ptr<ProgramMachinery> machinery_ = std::make_shared<ProgramMachinery>();
  std::unique_ptr<wasm::Runtime> runtime_;
};

}  // namespace

Result<std::unique_ptr<ProgramHost>> ProgramHost::create(const HostConfig& config,
                                                         std::vector<engine::Engine*> engines,
                                                         KeyValues& kvs, Bus& bus,
                                                         OutgoingHttp* http) {
  if (engines.empty())
    return Error{ErrorCode::kInvalidArgument, "[host] got no engine, expected at least one"};
  auto host = std::make_unique<WasmProgramHost>(config, std::move(engines), kvs, bus, http);
  PIE_TRY(host->start(config));
  return std::unique_ptr<ProgramHost>(std::move(host));
}

Result<std::filesystem::path> ProgramHost::compile_into(const std::filesystem::path& folder,
                                                        uint64_t folder_bytes_max,
                                                        std::span<const uint8_t> wasm,
                                                        const std::string& hash) {
  return wasm::compile_into(folder, folder_bytes_max, wasm, hash);
}

}  // namespace pie::host
