#include "instance/instance_collection.h"

#include <utility>

#include "base/user_name.h"

namespace pie::instance {

bool InstanceCollection::add(const InstanceRef& instance) {
  const std::lock_guard lock(mutex_);
  return !is_closed_ && instances_.emplace(instance->id(), instance).second;
}

void InstanceCollection::remove(const std::string& id) {
  InstanceRef removed;  // goes after the lock
  const std::lock_guard lock(mutex_);
  const auto found = instances_.find(id);
  if (found == instances_.end()) return;
  removed = std::move(found->second);
  instances_.erase(found);
}

Result<InstanceCollection::InstanceRef> InstanceCollection::find(const std::string& user,
                                                                 const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = instances_.find(id);
  if (found == instances_.end()) return instance_not_found();
  if (found->second->record().owner != user && user != kInternalUser) return instance_not_found();
  return found->second;
}

std::vector<InstanceCollection::InstanceRef> InstanceCollection::of(const std::string& user) const {
  std::vector<InstanceRef> seen = all();
  if (user != kInternalUser)
    std::erase_if(seen, [&](const InstanceRef& one) { return one->record().owner != user; });
  return seen;
}

std::vector<InstanceCollection::InstanceRef> InstanceCollection::all() const {
  constexpr size_t kAtOnce = 256;
  std::vector<InstanceRef> copies;
  for (bool is_more = true; is_more;) {
    const std::lock_guard lock(mutex_);
    auto next = copies.empty() ? instances_.begin() : instances_.upper_bound(copies.back()->id());
    for (size_t i = 0; i < kAtOnce && next != instances_.end(); ++i, ++next)
      copies.push_back(next->second);
    is_more = next != instances_.end();
  }
  return copies;
}

void InstanceCollection::close() {
  const std::lock_guard lock(mutex_);
  is_closed_ = true;
}

Error instance_not_found() { return {ErrorCode::kNotFound, "Instance not found"}; }

}  // namespace pie::instance
