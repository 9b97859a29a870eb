#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "instance/managed_instance.h"
#include "protocol/messages.h"

namespace pie::server {

/// A list of instances as the wire says it: a row for each, however many, with so much of their
/// arguments that it fits into one answer. `now_ns`: the wall clock.
std::vector<protocol::LiveInstance> instance_rows(
    const std::vector<std::shared_ptr<instance::ManagedInstance>>& instances, uint64_t now_ns);

}  // namespace pie::server
