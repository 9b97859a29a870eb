#include <fmt/format.h>

#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/objects.h"
#include "model/chat_template.h"
#include "wasm/wit_described.h"

namespace pie::host {
namespace {

constexpr const char* kCommon = "inferlet:core/common";

struct SynchronizationObject final : wasm::Object {
  static constexpr std::string_view kResource = "inferlet:core/common/synchronization-result";
  struct State final : wasm::Readiness {
    bool completed = false;  ///< written before fire(), read after ready()
  };
  const std::shared_ptr<State> state = std::make_shared<State>();
};

/// In the order of its cases.
enum class PriorityCase { kLow, kNormal, kHigh };
constexpr std::string_view kPriorityNames[] = {"low", "normal", "high"};
constexpr engine::Priority kPriorities[] = {engine::Priority::kLow, engine::Priority::kNormal,
                                            engine::Priority::kHigh};
constexpr auto wit_type(const PriorityCase*) {
  return wasm::enum_of(kPriorityNames[0], kPriorityNames[1], kPriorityNames[2]);
}

std::shared_ptr<QueueObject> create_queue(InstanceState& state, ModelObject& model) {
  const uint32_t used = *state.queue_count;
  if (used >= state.limits.queues_max)
    throw wasm::LimitError(
        fmt::format("queues: used {}, allowed {}", used, state.limits.queues_max));
  QueueId id = model.service.engine().create_queue(state.id);
  return std::make_shared<QueueObject>(model.service, id, state.queue_count);
}

void define_model(wasm::HostFunctions& functions) {
  const std::string method = "[method]model.";
  functions.resource(ModelObject::kResource);
  functions.add(kCommon, method + "get-name", [](ModelObject& self) { return self.name; });
  functions.add(kCommon, method + "get-description",
                [](ModelObject& self) { return self.service.info().description; });
  functions.add(kCommon, method + "get-prompt-template", [](ModelObject& self) {
    return std::string(self.service.model().chat_template().source());
  });
  functions.add(kCommon, method + "get-traits",
                [](ModelObject& self) { return self.service.info().traits; });
  functions.add(kCommon, method + "get-stop-tokens",
                [](ModelObject& self) { return self.service.info().stop_tokens; });
  functions.add(kCommon, method + "get-service-id",
                [](ModelObject& self) { return self.service.service_id(); });
  functions.add(kCommon, method + "get-kv-page-size",
                [](ModelObject& self) { return self.service.engine().page_size(); });
  functions.add(kCommon, method + "create-queue", create_queue);
}

Result<std::shared_ptr<SynchronizationObject>> synchronize(QueueObject& queue) {
  auto result = std::make_shared<SynchronizationObject>();
  PIE_TRY(queue.engine().synchronize(queue.id, [state = result->state](bool completed) {
    state->completed = completed;
    state->fire();
  }));
  return result;
}

std::optional<bool> synchronization_get(SynchronizationObject& self) {
  return self.state->ready() ? std::optional(self.state->completed) : std::nullopt;
}

void set_priority(QueueObject& queue, PriorityCase priority) {
  queue.priority = kPriorities[static_cast<size_t>(priority)];
  queue.engine().set_priority(queue.id, queue.priority);
}

std::shared_ptr<DebugQueryObject> debug_query(InstanceState& state, QueueObject& queue,
                                              std::string_view query) {
  check_size("debug-query", query.size(), state.limits.text_bytes_max);
  engine::EngineStats stats = queue.engine().stats();
  const engine::PrefixSavings saved = queue.engine().prefix_savings(state.id);
  return std::make_shared<DebugQueryObject>(
      fmt::format("query: {}\nqueue: {}\npriority: {}\nmodel: {}\nkv pages used: {} (of this "
                  "instance), {} of "
                  "{} in all\nsteps: {}\nprefix cache: {} hits, {} tokens saved\n",
                  query, queue.id.value, kPriorityNames[static_cast<size_t>(queue.priority)],
                  queue.service.info().id, queue.engine().kv_pages_used(state.id),
                  stats.kv_pages_used, stats.kv_pages_capacity, stats.steps, saved.hits,
                  saved.tokens),
      state.memory);
}

std::optional<std::string> debug_query_get(DebugQueryObject& self) {
  if (std::exchange(self.taken, true)) return std::nullopt;
  self.charge.release();
  return std::exchange(self.text, {});
}

void define_queue(wasm::HostFunctions& functions) {
  functions.resource(QueueObject::kResource);
  functions.add(kCommon, "[method]queue.get-service-id",
                [](QueueObject& self) { return self.service.service_id(); });
  functions.add(kCommon, "[method]queue.synchronize", synchronize);
  functions.add(kCommon, "[method]queue.set-priority", set_priority);
  functions.add(kCommon, "[method]queue.debug-query", debug_query);

  functions.resource(SynchronizationObject::kResource);
  functions.add(kCommon, "[method]synchronization-result.pollable",
                [](SynchronizationObject& self) -> wasm::ReadinessRef { return self.state; });
  functions.add(kCommon, "[method]synchronization-result.get", synchronization_get);

  functions.resource(DebugQueryObject::kResource);
  functions.add(kCommon, "[method]debug-query-result.pollable",
                [](DebugQueryObject& self) { return self.event; });
  functions.add(kCommon, "[method]debug-query-result.get", debug_query_get);
}

}  // namespace

void define_common(wasm::HostFunctions& functions) {
  define_model(functions);
  define_queue(functions);
}

}  // namespace pie::host
