#include "host/adapter_pass.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "host/guest_errors.h"
#include "model/evolution.h"

namespace pie::host {

Result<model::AdapterRef> find_adapter(std::string_view call, QueueObject& queue,
                                       uint32_t pointer) {
  PIE_TRY_ASSIGN(model::AdapterRef adapter, queue.engine().adapter(call, queue.id, pointer));
  if (adapter != nullptr) return adapter;
  return Error{
      ErrorCode::kInvalidArgument,
      fmt::format("[{}] got adapter pointer {}, where nothing was put yet, expected one after "
                  "upload-adapter or initialize-adapter",
                  call, pointer)};
}

model::AdapterRef adapter_of(std::string_view call, QueueObject& queue, uint32_t pointer) {
  return value_or_throw(find_adapter(call, queue, pointer));
}

Result<ComingAdapter> coming_adapter(std::string_view call, InstanceState& state,
                                     const model::AdapterRef& mean, std::optional<int64_t> seed) {
  if (!seed) return ComingAdapter{{}, [mean] { return mean; }};
  if (!mean->evolution)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[{}] got an adapter that does not evolve, expected one of "
                             "initialize-adapter",
                             call)};
  if (model::AdapterRef kept = state.candidates.find(mean->id, *seed))
    return ComingAdapter{{}, [kept = std::move(kept)] { return kept; }};
  auto charge = std::make_shared<Charge>(state.memory);
  const uint64_t bytes = mean->b->size();
  if (!charge->try_add(bytes).ok()) {
    state.candidates.clear();
    charge->add(bytes);
  }
  auto making = make_adapter(
      state,
      [mean, seed = *seed](Charge&) -> Result<std::unique_ptr<model::AdapterWork>> {
        return model::start_candidate(mean, seed);
      },
      std::move(charge));
  return ComingAdapter{{making->adapter}, [&state, making, mean, seed = *seed] {
                         model::AdapterRef made = making->adapter->take();
                         state.candidates.add(mean->id, seed, made);
                         return made;
                       }};
}

wasm::Wait<> compute_under(InstanceState& state, std::shared_ptr<PassObject> pass) {
  if (pass->adapter == nullptr) return wasm::Wait<>(std::vector<wasm::ReadinessRef>());
  auto coming =
      value_or_throw(coming_adapter("set-adapter-seed", state, pass->adapter, pass->adapter_seed));
  return {std::move(coming.events),
          [take = std::move(coming.take), pass = std::move(pass)] { pass->pass.adapter = take(); }};
}

}  // namespace pie::host
