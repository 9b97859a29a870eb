#include <fmt/format.h>

#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/objects.h"
#include "host/values.h"
#include "model/chat_template.h"

namespace pie::host {
namespace {

using wasm::Call;
using wasm::Value;

constexpr const char* kCommon = "inferlet:core/common";
constexpr const char* kSynchronizationResource = "inferlet:core/common/synchronization-result";

struct SynchronizationObject final : wasm::Object {
  struct State final : wasm::Event {
    bool completed = false;  ///< written before fire(), read after ready()
  };
  const std::shared_ptr<State> state = std::make_shared<State>();
};

void create_queue(Call& call) {
  InstanceState& state = state_of(call);
  auto model = call.object<ModelObject>(0);
  const uint32_t used = *state.queue_count;
  if (used >= state.limits.queues_max)
    throw wasm::LimitError(
        fmt::format("queues: used {}, allowed {}", used, state.limits.queues_max));
  QueueId id = model->service.engine().create_queue(state.id);
  call.ret(Value::handle(kQueueResource,
                         std::make_shared<QueueObject>(model->service, id, state.queue_count)));
}

/// A function without arguments that tells something of the model.
template <class Get>
void model_function(wasm::Registry& registry, const char* name, Get get) {
  registry.function(kCommon, std::string("[method]model.") + name,
                    [get](Call& call) { call.ret(get(call.object<ModelObject>(0)->service)); });
}

void define_model(wasm::Registry& registry) {
  registry.resource(kCommon, "model");
  model_function(registry, "get-name",
                 [](const ModelService& model) { return Value::string(model.info().id); });
  model_function(registry, "get-description",
                 [](const ModelService& model) { return Value::string(model.info().description); });
  model_function(registry, "get-prompt-template", [](const ModelService& model) {
    return Value::string(model.model().chat_template().source());
  });
  model_function(registry, "get-traits",
                 [](const ModelService& model) { return string_list(model.info().traits); });
  model_function(registry, "get-stop-tokens",
                 [](const ModelService& model) { return string_list(model.info().stop_tokens); });
  model_function(registry, "get-service-id",
                 [](const ModelService& model) { return Value::u32(model.service_id()); });
  model_function(registry, "get-kv-page-size",
                 [](const ModelService& model) { return Value::u32(model.engine().page_size()); });
  registry.function(kCommon, "[method]model.create-queue", create_queue);
}

void synchronize(Call& call) {
  auto queue = call.object<QueueObject>(0);
  auto result = std::make_shared<SynchronizationObject>();
  value_or_throw(queue->engine().synchronize(queue->id, [state = result->state](bool completed) {
    state->completed = completed;
    state->fire();
  }));
  call.ret(Value::handle(kSynchronizationResource, std::move(result)));
}

void set_priority(Call& call) {
  auto queue = call.object<QueueObject>(0);
  std::string_view name = call.enumeration(1);
  queue->priority = name == "low"    ? engine::Priority::kLow
                    : name == "high" ? engine::Priority::kHigh
                                     : engine::Priority::kNormal;
  queue->engine().set_priority(queue->id, queue->priority);
}

void queue_debug_query(Call& call) {
  InstanceState& state = state_of(call);
  auto queue = call.object<QueueObject>(0);
  check_size("debug-query", call.string(1).size(), state.limits.text_bytes_max);
  constexpr const char* kPriorities[] = {"low", "normal", "high"};
  engine::EngineStats stats = queue->engine().stats();
  const engine::PrefixSavings saved = queue->engine().prefix_savings(state.id);
  call.ret(debug_query_value(
      fmt::format("query: {}\nqueue: {}\npriority: {}\nmodel: {}\nkv pages used: {} (of this "
                  "instance), {} of "
                  "{} in all\nsteps: {}\nprefix cache: {} hits, {} tokens saved\n",
                  call.string(1), queue->id.value,
                  kPriorities[static_cast<size_t>(queue->priority)], queue->service.info().id,
                  queue->engine().kv_pages_used(state.id), stats.kv_pages_used,
                  stats.kv_pages_capacity, stats.steps, saved.hits, saved.tokens),
      state.memory));
}

void debug_query_get(Call& call) {
  auto self = call.object<DebugQueryObject>(0);
  if (self->taken) return call.ret(Value::none());
  self->taken = true;
  call.ret(Value::some(Value::string(std::exchange(self->text, {}))));
  self->charge.release();
}

void define_queue(wasm::Registry& registry) {
  registry.resource(kCommon, "queue");
  registry.function(kCommon, "[method]queue.get-service-id", [](Call& call) {
    call.ret(Value::u32(call.object<QueueObject>(0)->service.service_id()));
  });
  registry.function(kCommon, "[method]queue.synchronize", synchronize);
  registry.function(kCommon, "[method]queue.set-priority", set_priority);
  registry.function(kCommon, "[method]queue.debug-query", queue_debug_query);

  registry.resource(kCommon, "synchronization-result");
  registry.function(kCommon, "[method]synchronization-result.pollable", [](Call& call) {
    call.ret(wasm::make_pollable(call.object<SynchronizationObject>(0)->state));
  });
  registry.function(kCommon, "[method]synchronization-result.get", [](Call& call) {
    auto state = call.object<SynchronizationObject>(0)->state;
    call.ret(state->ready() ? Value::some(Value::boolean(state->completed)) : Value::none());
  });

  registry.resource(kCommon, "debug-query-result");
  registry.function(kCommon, "[method]debug-query-result.pollable", [](Call& call) {
    call.ret(wasm::make_pollable(call.object<DebugQueryObject>(0)->event));
  });
  registry.function(kCommon, "[method]debug-query-result.get", debug_query_get);
}

}  // namespace

void define_common(wasm::Registry& registry) {
  define_model(registry);
  define_queue(registry);
}

}  // namespace pie::host
