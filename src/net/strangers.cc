#include "net/strangers.h"

namespace pie::net {

std::unique_ptr<Strangers::Place> Strangers::enter(const std::string& address) {
  const std::lock_guard lock(mutex_);
  uint32_t& count = counts_[address];
  if (count >= per_address_max_) return nullptr;
  ++count;
  return std::make_unique<Place>(*this, address);
}

void Strangers::leave(const std::string& address) {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(address);
  if (--found->second == 0) counts_.erase(found);
}

}  // namespace pie::net
