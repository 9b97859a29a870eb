#include "host/running_program.h"

#include <utility>

#include "base/check.h"
#include "wasi/wasi.h"

namespace pie::host {

void InstanceCount::enter() {
  const std::lock_guard lock(mutex_);
  ++count_;
}

void InstanceCount::leave() {
  const std::lock_guard lock(mutex_);
  if (--count_ == 0) none_.notify_all();
}

void InstanceCount::wait_for_none() {
  std::unique_lock lock(mutex_);
  none_.wait(lock, [this] { return count_ == 0; });
}

/// What is left of an instance from the return of its program to the last word to its ports.
struct RunningProgram::Closing {
  std::shared_ptr<ProgramMachinery> machinery;
  InstanceId id;
  std::shared_ptr<InstancePorts> ports;
  std::shared_ptr<std::atomic<Stage>> stage;
  End end;
  std::atomic<size_t> open_engines{0};
};

RunningProgram::RunningProgram(std::shared_ptr<ProgramMachinery> machinery,
                               std::shared_ptr<const wasm::Component> component,
                               std::unique_ptr<InstanceState> state)
    : machinery_(std::move(machinery)),
      component_(std::move(component)),
      id_(state->id),
      ending_(state->ending),
      messages_(state->messages),
      blobs_(state->blobs),
      state_(std::move(state)) {}

Result<void> RunningProgram::start() {
  PIE_CHECK(state_ != nullptr);
  std::unique_ptr<InstanceState> state = std::move(state_);
  if (auto end = ending_->end_before_start()) {
    *stage_ = Stage::kEnded;
    messages_->close();
    blobs_->close();
    state->ports->on_end(std::move(*end));
    return {};
  }
  *stage_ = Stage::kRuns;
  const auto& engines = machinery_->engines;
  for (engine::Engine* engine : engines)
    engine->open_instance(
        id_,
        {.kv_pages_max = state->limits.kv_pages_max, .shared = state->quotas, .user = state->user});
  machinery_->running.enter();
  auto instance = machinery_->runtime->launch(wasm_spec(std::move(state)));
  if (!instance.ok()) {
    *stage_ = Stage::kEnded;
    for (engine::Engine* engine : engines) engine->close_instance(id_, [] {});
    machinery_->running.leave();
    return std::move(instance).error();
  }
  ending_->attach(std::move(*instance));
  return {};
}

wasm::InstanceSpec RunningProgram::wasm_spec(std::unique_ptr<InstanceState> state) {
  wasm::InstanceSpec made;
  made.component = component_;
  if (const auto exchange = std::exchange(state->exchange, nullptr)) {
    made.entry = wasm::EntryPoint::kHttpHandler;
    made.arguments = wasi::handler_arguments(exchange);
  }
  made.limits = state->limits;
  made.quotas = state->quotas;
  wasi::WasiConfig wasi;
  wasi.arguments = {"inferlet"};
  wasi.arguments.insert(wasi.arguments.end(), state->arguments.begin(), state->arguments.end());
  wasi.output = state->output;
  wasi.http = machinery_->http;
  wasi.user = state->user;
  wasi.memory = state->memory;
  wasi.timer = [runtime = machinery_->runtime](uint64_t ns) { return runtime->timer(ns); };
  made.contexts[wasm::kWasiContext] = wasi::make_wasi_context(std::move(wasi));

  auto closing = std::make_shared<Closing>();
  closing->machinery = machinery_;
  closing->id = id_;
  closing->ports = state->ports;
  closing->stage = stage_;
  made.on_end = [closing, state = state.get()](const wasm::Outcome& outcome) {
    closing->end = state->ending->resolve(outcome, std::move(state->return_value));
    state->messages->close();
    state->blobs->close();
    close_children(closing);
  };
  made.on_blocked = [machinery = machinery_, id = id_] {
    for (engine::Engine* engine : machinery->engines) engine->instance_blocked(id);
  };
  made.contexts[wasm::kHostContext] = std::move(state);
  return made;
}

/// An instance ends after its children: what they have is theirs together.
void RunningProgram::close_children(const std::shared_ptr<Closing>& closing) {
  const auto children = closing->ports->children();
  if (!children) return close_engines(closing);
  children->close([closing] { close_engines(closing); });
}

/// Frees what the instance holds in the engines; the last of them to finish says so to the ports.
void RunningProgram::close_engines(const std::shared_ptr<Closing>& closing) {
  const auto& engines = closing->machinery->engines;
  closing->open_engines = engines.size();
  for (engine::Engine* engine : engines)
    engine->close_instance(closing->id, [closing] {
      if (closing->open_engines.fetch_sub(1) != 1) return;
      *closing->stage = Stage::kEnded;
      closing->ports->on_end(std::move(closing->end));
      closing->ports = nullptr;
      closing->machinery->running.leave();
    });
}

std::vector<ModelUse> RunningProgram::use_by_model() const {
  const auto& engines = machinery_->engines;
  std::vector<ModelUse> uses(engines.size());
  for (size_t i = 0; i < engines.size() && *stage_ == Stage::kRuns; ++i) {
    const engine::PrefixSavings saved = engines[i]->prefix_savings(id_);
    uses[i] = {engines[i]->kv_pages_used(id_), saved.hits, saved.tokens};
  }
  return uses;
}

uint64_t RunningProgram::memory_bytes() const {
  const auto instance = ending_->instance();
  return instance ? instance->memory_bytes() : 0;
}

}  // namespace pie::host
