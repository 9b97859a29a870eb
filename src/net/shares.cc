#include "net/shares.h"

namespace pie::net {

std::unique_ptr<Shares::Place> Shares::enter(const std::string& holder) {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.try_emplace(holder, 0).first;
  if (max_ > 0 && found->second >= max_) return nullptr;
  ++found->second;
  return std::make_unique<Place>(*this, holder);
}

void Shares::leave(const std::string& holder) {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(holder);
  if (--found->second == 0) counts_.erase(found);
}

}  // namespace pie::net
