// Adapter pointers of instances: what they stand for is the instance's at once, so that no command
// waits for it.
#include "engine/local_engine.h"

namespace pie::engine {

Result<model::AdapterRef> LocalEngine::adapter(std::string_view call, QueueId queue,
                                               uint32_t pointer) {
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Caller who, caller(call, queue));
  PIE_TRY_ASSIGN(auto found, who.instance->adapters.find(call, {&pointer, 1}));
  return std::move(found[0]);
}

Result<void> LocalEngine::put_adapter(std::string_view call, QueueId queue, uint32_t pointer,
                                      model::AdapterRef adapter) {
  model::AdapterRef before;  // goes after the lock is released
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Caller who, caller(call, queue));
  PIE_TRY_ASSIGN(before, who.instance->adapters.put(call, pointer, std::move(adapter)));
  return {};
}

}  // namespace pie::engine
