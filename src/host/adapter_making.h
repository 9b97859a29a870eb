#pragma once
#include <cstdint>
#include <functional>
#include <list>
#include <memory>

#include "host/answer.h"
#include "host/host_memory.h"
#include "model/adapter.h"

namespace pie::host {

struct InstanceState;

/// An adapter that is made in pieces in the background, in the user's turn and on his account. It
/// stops when its program, which alone keeps it, ends.
struct AdapterMaking {
  /// Begins the work; adds to the charge what is not in it yet.
  using Start = std::function<Result<std::unique_ptr<model::AdapterWork>>(Charge&)>;

  AdapterMaking(Start start_, std::shared_ptr<Charge> charge_)
      : start(std::move(start_)), charge(std::move(charge_)) {}

  const Start start;
  const std::shared_ptr<Charge> charge;  ///< the adapter's when it is made
  std::unique_ptr<model::AdapterWork> work;
  const std::shared_ptr<Answer<model::AdapterRef>> adapter =
      std::make_shared<Answer<model::AdapterRef>>();
};

/// Has it made. Throws wasm::LimitError when too much waits.
std::shared_ptr<AdapterMaking> make_adapter(InstanceState& state, AdapterMaking::Start start,
                                            std::shared_ptr<Charge> charge);

/// The candidates of adapters that an instance has used of late: each step of a text is computed
/// under the same one. Thread: the instance's fiber.
class AdapterCandidates {
 public:
  static constexpr size_t kKept = 64;

  /// Null when it is not there.
  model::AdapterRef find(uint64_t mean, int64_t seed);
  void add(uint64_t mean, int64_t seed, model::AdapterRef adapter);
  void clear() { kept_.clear(); }

 private:
  struct Candidate {
    uint64_t mean;
    int64_t seed;
    model::AdapterRef adapter;
  };
  std::list<Candidate> kept_;  ///< the last used one first
};

}  // namespace pie::host
