#include "host/adapter_pass.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "host/guest_errors.h"
#include "model/evolution.h"

namespace pie::host {

model::AdapterRef adapter_of(std::string_view call, QueueObject& queue, uint32_t pointer) {
  model::AdapterRef adapter = value_or_throw(queue.engine().adapter(call, queue.id, pointer));
  if (adapter == nullptr)
    throw wasm::GuestError(
        fmt::format("[{}] got adapter pointer {}, where nothing was put yet, expected one after "
                    "upload-adapter or initialize-adapter",
                    call, pointer));
  return adapter;
}

wasm::Wait<> compute_under(InstanceState& state, std::shared_ptr<PassObject> pass) {
  using wasm::Wait;
  const auto nothing = [] { return Wait<>(std::vector<wasm::ReadinessRef>()); };
  const model::AdapterRef mean = pass->adapter;
  if (mean == nullptr) return nothing();
  pass->pass.adapter = mean;
  if (!pass->adapter_seed) return nothing();
  const int64_t seed = *pass->adapter_seed;
  if (!mean->evolution)
    throw wasm::GuestError(
        "[set-adapter-seed] got an adapter that does not evolve, expected one of "
        "initialize-adapter");
  if (model::AdapterRef kept = state.candidates.find(mean->id, seed)) {
    pass->pass.adapter = std::move(kept);
    return nothing();
  }
  auto charge = std::make_shared<Charge>(state.memory);
  const uint64_t bytes = mean->b->size();
  if (!charge->try_add(bytes).ok()) {
    state.candidates.clear();
    charge->add(bytes);
  }
  auto making = make_adapter(
      state,
      [mean, seed](Charge&) -> Result<std::unique_ptr<model::AdapterWork>> {
        return model::start_candidate(mean, seed);
      },
      std::move(charge));
  return {{making->adapter}, [&state, making, mean, seed, pass = std::move(pass)] {
            pass->pass.adapter = making->adapter->take();
            state.candidates.add(mean->id, seed, pass->pass.adapter);
          }};
}

}  // namespace pie::host
