#pragma once
#include <memory>
#include <string>

#include "base/result.h"
#include "instance/event_log.h"
#include "store/store.h"

namespace pie::server {

/// The instance's event log over its file in the store, with what the file holds. `post` runs its
/// tasks on threads that may wait for the disk.
Result<std::shared_ptr<instance::EventLog>> open_durable_log(
    store::Instances& store, const std::string& instance_id,
    const instance::EventLog::Limits& limits, instance::EventLog::Post post);

}  // namespace pie::server
