// inferlet:zo: evolution strategies over adapters (model/evolution.h).
#include <utility>
#include <vector>

#include "host/adapter_making.h"
#include "host/adapter_pass.h"
#include "host/define.h"
#include "host/guest_errors.h"
#include "host/objects.h"
#include "model/evolution.h"

namespace pie::host {
namespace {

using wasm::Wait;

constexpr const char* kEvolve = "inferlet:zo/evolve";

Wait<> set_adapter_seed(InstanceState& state, std::shared_ptr<PassObject> pass, int64_t seed) {
  pass->adapter_seed = seed;
  return compute_under(state, std::move(pass));
}

/// Waits for the adapter, and puts it under the pointer.
Wait<> put_later(const char* call, std::shared_ptr<AdapterMaking> making,
                 std::shared_ptr<QueueObject> queue, uint32_t pointer) {
  return {{making->adapter}, [call, making, queue = std::move(queue), pointer] {
            value_or_throw(
                queue->engine().put_adapter(call, queue->id, pointer, making->adapter->take()));
          }};
}

Wait<> initialize_adapter(InstanceState& state, std::shared_ptr<QueueObject> queue,
                          uint32_t pointer, uint32_t rank, float alpha, uint32_t population_size,
                          float mu_fraction, float initial_sigma) {
  constexpr const char* kCall = "initialize-adapter";
  const model::EvolutionParams params{rank, alpha, population_size, mu_fraction, initial_sigma};
  value_or_throw(model::check_evolution(params));
  value_or_throw(queue->engine().adapter(kCall, queue->id, pointer));
  const model::Architecture& architecture = queue->service.model().architecture();
  const model::AdapterLayout layout = model::evolving_layout(architecture, params);
  auto charge = std::make_shared<Charge>(state.memory);
  charge->add(layout.size_bytes() + layout.b_count * sizeof(float));
  auto making = make_adapter(
      state,
      [&architecture, params](Charge&) -> Result<std::unique_ptr<model::AdapterWork>> {
        return model::start_evolving(architecture, params);
      },
      std::move(charge));
  return put_later(kCall, std::move(making), std::move(queue), pointer);
}

Wait<> update_adapter(InstanceState& state, std::shared_ptr<QueueObject> queue, uint32_t pointer,
                      std::vector<float> scores, std::vector<int64_t> seeds, float max_sigma) {
  constexpr const char* kCall = "update-adapter";
  model::AdapterRef mean = adapter_of(kCall, *queue, pointer);
  model::Scores given{std::move(scores), std::move(seeds), max_sigma};
  value_or_throw(model::check_scores(*mean, given));
  auto charge = std::make_shared<Charge>(state.memory);
  charge->add(3 * mean->b->size());  // B, the path, and the step on the way there
  auto making = make_adapter(
      state,
      [mean = std::move(mean),
       given = std::move(given)](Charge&) -> Result<std::unique_ptr<model::AdapterWork>> {
        return model::start_update(mean, given);
      },
      std::move(charge));
  return put_later(kCall, std::move(making), std::move(queue), pointer);
}

}  // namespace

void define_evolve(wasm::HostFunctions& functions) {
  functions.add(kEvolve, "set-adapter-seed", set_adapter_seed);
  functions.add(kEvolve, "initialize-adapter", initialize_adapter);
  functions.add(kEvolve, "update-adapter", update_adapter);
}

}  // namespace pie::host
