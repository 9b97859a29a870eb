#pragma once
#include <memory>
#include <string>

#include "base/result.h"
#include "instance/event_log.h"
#include "store/store.h"

namespace pie::server {

/// The instance's event log over its file in the store, with what the file holds.
Result<std::unique_ptr<instance::EventLog>> open_durable_log(
    store::Instances& store, const std::string& instance_id,
    const instance::EventLog::Limits& limits);

}  // namespace pie::server
