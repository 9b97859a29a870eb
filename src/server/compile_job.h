#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/ledger.h"
#include "base/result.h"

namespace pie::server {

/// Runs a job of a work queue: one that ends by an exception is refused like one that could not be
/// taken. `what` names it.
void run_or_refuse(const char* what, const std::function<void()>& job,
                   const std::function<void(std::string reason)>& refuse);

/// `bytes` of the server's memory, charged to `quotas` (which may be null); kResourceExhausted.
Result<std::shared_ptr<Holding>> hold_memory(const UserQuotasRef& quotas, uint64_t bytes);
/// The same for a program that is to be compiled; kResourceExhausted also when no processor time is
/// left.
Result<std::shared_ptr<Holding>> hold_for_compiling(const UserQuotasRef& quotas, uint64_t bytes);

}  // namespace pie::server
