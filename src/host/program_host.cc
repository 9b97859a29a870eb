#include "host/program_host.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "host/define.h"
#include "host/instance_state.h"
#include "wasi/wasi.h"
#include "wasm/runtime.h"

namespace pie::host {
namespace {

constexpr const char* kRunInterface = "inferlet:core/run";
constexpr const char* kHttpInterface = "wasi:http/incoming-handler";

/// How many instances there are, those whose engines still clean up included.
class Census {
 public:
  void enter() {
    std::lock_guard lock(mutex_);
    ++count_;
  }
  void leave() {
    std::lock_guard lock(mutex_);
    if (--count_ == 0) empty_.notify_all();
  }
  void wait_empty() {
    std::unique_lock lock(mutex_);
    empty_.wait(lock, [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable empty_;
  size_t count_ = 0;
};

class CompiledProgram final : public Program {
 public:
  explicit CompiledProgram(std::shared_ptr<const wasm::Component> component)
      : component_(std::move(component)), http_(component_->exports(kHttpInterface)) {}
  const std::string& hash() const override { return component_->hash(); }
  bool serves_http() const override { return http_; }
  const std::shared_ptr<const wasm::Component>& component() const { return component_; }

 private:
  std::shared_ptr<const wasm::Component> component_;
  bool http_;
};

/// What is left of an instance from the return of its program to the last word to its ports.
struct Farewell {
  std::shared_ptr<InstancePorts> ports;
  std::shared_ptr<std::atomic<bool>> ended;
  std::shared_ptr<Census> census;
  std::vector<engine::Engine*> engines;
  End end;
  std::atomic<size_t> open_engines{0};
};

/// Frees what the instance holds in the engines; the last of them to finish says so to the ports.
void close_engines(const std::shared_ptr<Farewell>& farewell, InstanceId id) {
  farewell->open_engines = farewell->engines.size();
  for (engine::Engine* engine : farewell->engines)
    engine->close_instance(id, [farewell] {
      if (farewell->open_engines.fetch_sub(1) != 1) return;
      farewell->ended->store(true);
      farewell->ports->on_end(std::move(farewell->end));
      farewell->ports = nullptr;
      farewell->census->leave();
    });
}

/// Both `get-arguments` hand all of them over in one call.
Result<void> check_arguments(const std::vector<std::string>& arguments) {
  constexpr size_t kCountMax = 65'536;
  if (arguments.size() <= kCountMax) return {};
  return Error{ErrorCode::kInvalidArgument, "[launch] got " + std::to_string(arguments.size()) +
                                                " arguments, expected at most " +
                                                std::to_string(kCountMax)};
}

class RunningProgram final : public RunningInstance {
 public:
  RunningProgram(const InstanceState& state, std::vector<engine::Engine*> engines,
                 std::shared_ptr<std::atomic<bool>> ended)
      : id_(state.id),
        ending_(state.ending),
        messages_(state.messages),
        blobs_(state.blobs),
        engines_(std::move(engines)),
        ended_(std::move(ended)) {}

  Result<void> post_message(std::string text) override { return messages_->post(std::move(text)); }
  Result<void> post_blob(BlobRef blob) override { return blobs_->post(std::move(blob)); }
  uint64_t mailbox_bytes() const override { return messages_->bytes() + blobs_->bytes(); }
  void terminate(End end) override { ending_->terminate(std::move(end)); }

  std::vector<ModelUse> use_by_model() const override {
    std::vector<ModelUse> uses(engines_.size());
    for (size_t i = 0; i < engines_.size() && !ended_->load(); ++i)
      uses[i] = {engines_[i]->kv_pages_used(id_), engines_[i]->prefix_savings(id_)};
    return uses;
  }
  uint64_t memory_bytes() const override {
    auto instance = ending_->instance();
    return instance ? instance->memory_bytes() : 0;
  }

 private:
  const InstanceId id_;
  std::shared_ptr<Ending> ending_;
  std::shared_ptr<Mailbox<std::string>> messages_;
  std::shared_ptr<Mailbox<BlobRef>> blobs_;
  std::vector<engine::Engine*> engines_;
  std::shared_ptr<std::atomic<bool>> ended_;
};

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
  WasmProgramHost(const HostConfig& config, std::vector<engine::Engine*> engines, KvsPort& kvs,
                  BusPort& bus, wasi::HttpClientPort* http)
      : engines_(std::move(engines)),
        http_(http),
        background_(background_config(config)),
        services_{{}, config.model_aliases, kvs, bus, config.server_version, background_, disk_} {
    for (engine::Engine* engine : engines_)
      services_.models.push_back(
          std::make_unique<ModelService>(*engine, static_cast<uint32_t>(services_.models.size())));
    wasi::define_wasi(registry_);
    define_host(registry_);
  }

  ~WasmProgramHost() override {
    runtime_ = nullptr;  // kills what runs
    census_->wait_empty();
  }

  Result<void> start(const HostConfig& config) {
    auto runtime = wasm::Runtime::create({.worker_count = config.worker_count,
                                          .instances_max = config.instances_max,
                                          .cache_folder = config.cache_folder,
                                          .cache_bytes_max = config.cache_bytes_max},
                                         registry_);
    if (!runtime.ok()) return std::move(runtime).error();
    runtime_ = std::move(*runtime);
    return {};
  }

  Result<std::shared_ptr<const Program>> compile(std::span<const uint8_t> wasm,
                                                 const std::string& hash) override {
    PIE_TRY_ASSIGN(auto component, runtime_->compile(wasm, hash));
    if (!component->exports(kRunInterface) && !component->exports(kHttpInterface))
      return Error{ErrorCode::kInvalidArgument,
                   "[program] got a component that exports neither inferlet:core/run nor "
                   "wasi:http/incoming-handler, expected one of them"};
    return std::shared_ptr<const Program>(std::make_shared<CompiledProgram>(std::move(component)));
  }

  Result<std::shared_ptr<RunningInstance>> launch(LaunchSpec spec) override {
    auto program = std::dynamic_pointer_cast<const CompiledProgram>(spec.program);
    if (!program)
      return Error{ErrorCode::kInvalidArgument,
                   "[launch] got no program of this host, expected one from compile()"};
    PIE_TRY(check_arguments(spec.arguments));
    auto state = std::make_unique<InstanceState>(services_, spec);
    for (const std::string& argument : spec.arguments)  // kept here and for WASI
      PIE_TRY(state->argument_charge.try_add(2 * (sizeof(argument) + argument.size())));
    auto ended = std::make_shared<std::atomic<bool>>(false);
    auto running = std::make_shared<RunningProgram>(*state, engines_, ended);
    auto ending = state->ending;
    for (engine::Engine* engine : engines_)
      engine->open_instance(
          spec.id,
          {.kv_pages_max = spec.limits.kv_pages_max, .shared = spec.quotas, .user = spec.user});
    census_->enter();
    auto instance = runtime_->launch(wasm_spec(spec, *program, std::move(state), ended));
    if (!instance.ok()) {
      for (engine::Engine* engine : engines_) engine->close_instance(spec.id, [] {});
      census_->leave();
      return std::move(instance).error();
    }
    ending->attach(std::move(*instance));
    return std::shared_ptr<RunningInstance>(std::move(running));
  }

 private:
  wasm::InstanceSpec wasm_spec(const LaunchSpec& spec, const CompiledProgram& program,
                               std::unique_ptr<InstanceState> state,
                               std::shared_ptr<std::atomic<bool>> ended) {
    wasm::InstanceSpec made;
    made.component = program.component();
    if (spec.exchange) {
      made.entry = wasm::Entry::kHttpHandler;
      made.arguments = wasi::handler_arguments(spec.exchange);
    }
    made.limits = spec.limits;
    made.quotas = spec.quotas;
    wasi::WasiConfig wasi;
    wasi.arguments = {"inferlet"};
    wasi.arguments.insert(wasi.arguments.end(), spec.arguments.begin(), spec.arguments.end());
    wasi.output = state->output;
    wasi.http = http_;
    wasi.user = spec.user;
    wasi.memory = state->memory;
    wasi.timer = [runtime = runtime_.get()](uint64_t ns) { return runtime->timer(ns); };
    made.contexts[wasm::kWasiContext] = wasi::make_wasi_context(std::move(wasi));

    auto farewell = std::make_shared<Farewell>();
    farewell->ports = spec.ports;
    farewell->ended = std::move(ended);
    farewell->census = census_;
    farewell->engines = engines_;
    made.on_end = [farewell, state = state.get(), id = spec.id](wasm::Outcome outcome) {
      farewell->end = state->ending->resolve(outcome, std::move(state->return_value));
      state->messages->close();
      state->blobs->close();
      close_engines(farewell, id);
    };
    made.on_blocked = [engines = engines_, id = spec.id] {
      for (engine::Engine* engine : engines) engine->instance_blocked(id);
    };
    made.contexts[wasm::kHostContext] = std::move(state);
    return made;
  }

  const std::vector<engine::Engine*> engines_;
  wasi::HttpClientPort* const http_;
  WorkQueue background_;
  WorkQueue disk_{{.name = "blobs", .owner_pending_max = 16'384}};
  Services services_;
  wasm::Registry registry_;
  const std::shared_ptr<Census> census_ = std::make_shared<Census>();
  std::unique_ptr<wasm::Runtime> runtime_;
};

}  // namespace

Result<std::unique_ptr<ProgramHost>> ProgramHost::create(const HostConfig& config,
                                                         std::vector<engine::Engine*> engines,
                                                         KvsPort& kvs, BusPort& bus,
                                                         wasi::HttpClientPort* http) {
  if (engines.empty())
    return Error{ErrorCode::kInvalidArgument, "[host] got no engine, expected at least one"};
  auto host = std::make_unique<WasmProgramHost>(config, std::move(engines), kvs, bus, http);
  PIE_TRY(host->start(config));
  return std::unique_ptr<ProgramHost>(std::move(host));
}

}  // namespace pie::host
