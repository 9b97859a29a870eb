#include "engine/prefix_domains.h"

namespace pie::engine {

uint32_t PrefixDomains::open(const std::string& user) {
  if (sharing_ == PrefixSharing::kNobody) return 0;
  if (sharing_ == PrefixSharing::kEverybody) return 1;
  const auto [at, is_new] = users_.try_emplace(user);
  User& known = at->second;
  if (is_new) {
    if (++last_ == 0) ++last_;
    known.domain = last_;
  } else if (known.instances == 0) {
    idle_.erase(known.idle);
  }
  ++known.instances;
  return known.domain;
}

void PrefixDomains::close(const std::string& user) {
  const auto at = users_.find(user);
  if (at == users_.end() || --at->second.instances > 0) return;
  at->second.idle = idle_.insert(idle_.end(), user);
  if (idle_.size() <= kIdleMax) return;
  users_.erase(idle_.front());
  idle_.pop_front();
}

}  // namespace pie::engine
