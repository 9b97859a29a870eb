#pragma once
#include <cstdint>
#include <string>

#include "base/ledger.h"

namespace pie::instance {

/// Where an instance stands in its family.
struct Descent {
  std::string id;           ///< its own
  std::string parent;       ///< the id of who launched it; empty: a client did
  uint32_t generation = 0;  ///< 0: a client launched it
  UserQuotasRef quotas;     ///< its family's; may be null

  bool is_child() const { return !parent.empty(); }
};

}  // namespace pie::instance
