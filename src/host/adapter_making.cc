#include "host/adapter_making.h"

#include <algorithm>
#include <utility>

#include "base/guarded.h"
#include "base/work_queue.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"

namespace pie::host {
namespace {

/// One piece; whether there is more.
Result<bool> advance(AdapterMaking& making) {
  if (making.work == nullptr) {
    PIE_TRY_ASSIGN(making.work, making.start(*making.charge));
    return true;
  }
  PIE_TRY_ASSIGN(const bool has_more, making.work->advance());
  if (has_more) return true;
  model::Adapter adapter = making.work->take();
  adapter.charge = making.charge;
  making.adapter->set(model::seal(std::move(adapter)));
  return false;
}

WorkQueue::Next run_piece(AdapterMaking& making) {
  const auto has_more = guarded("adapter", [&] { return advance(making); });
  if (has_more.ok() && *has_more) return WorkQueue::Next::kAgain;
  if (!has_more.ok()) making.adapter->set(has_more.error());
  return WorkQueue::Next::kDone;
}

}  // namespace

std::shared_ptr<AdapterMaking> make_adapter(InstanceState& state, AdapterMaking::Start start,
                                            std::shared_ptr<Charge> charge) {
  auto making = std::make_shared<AdapterMaking>(std::move(start), std::move(charge));
  // The instance holds its engines' models until it has ended, and `making` until then.
  value_or_throw(state.services.background.post(
      state.user,
      [weak = std::weak_ptr(making)] {
        const auto live = weak.lock();
        return live ? run_piece(*live) : WorkQueue::Next::kDone;
      },
      state.cpu_quota));
  return making;
}

model::AdapterRef AdapterCandidates::find(uint64_t mean, int64_t seed) {
  const auto at = std::find_if(kept_.begin(), kept_.end(), [&](const Candidate& one) {
    return one.mean == mean && one.seed == seed;
  });
  if (at == kept_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, at);
  return at->adapter;
}

void AdapterCandidates::add(uint64_t mean, int64_t seed, model::AdapterRef adapter) {
  kept_.push_front({mean, seed, std::move(adapter)});
  if (kept_.size() > kKept) kept_.pop_back();
}

}  // namespace pie::host
