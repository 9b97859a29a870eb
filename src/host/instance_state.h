#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/blob.h"
#include "base/ledger.h"
#include "host/adapter_making.h"
#include "host/context_note.h"
#include "host/ending.h"
#include "host/host_memory.h"
#include "host/launch_spec.h"
#include "host/mailbox.h"
#include "host/model_service.h"
#include "host/output.h"
#include "wasm/object.h"

namespace pie::host {

/// What an item of a list counts beside its bytes, where a list has a bound.
inline constexpr uint64_t kListItemBytes = 64;

/// What the host's functions keep per instance, beside what its launch said. Thread: the instance's
/// fiber only, except what is held by shared_ptr (those say so themselves).
struct InstanceState final : wasm::InstanceContext, LaunchSpec {
  static constexpr size_t kContext = wasm::kHostContext;

  InstanceState(const Services& services_, LaunchSpec spec)
      : LaunchSpec(std::move(spec)),
        services(services_),
        cpu_quota(part_of(quotas, &UserQuotas::cpu)),
        ending(std::make_shared<Ending>()),
        output(std::make_shared<Output>(ports, ending, limits.output_bytes_max, quotas)),
        memory(std::make_shared<HostMemory>(limits.host_bytes_max,
                                            part_of(quotas, &UserQuotas::host_memory))) {}

  const Services& services;
  const std::shared_ptr<Quota> cpu_quota;  ///< of the user; may be null
  const std::shared_ptr<Ending> ending;
  const std::shared_ptr<Output> output;
  const std::shared_ptr<HostMemory> memory;
  std::string return_value;
  Charge return_charge{memory}, argument_charge{memory};
  const std::shared_ptr<std::atomic<uint32_t>> queue_count =
      std::make_shared<std::atomic<uint32_t>>(0);  ///< live queues
  uint32_t subscription_count = 0;                 ///< live subscriptions
  AdapterCandidates candidates;
  const std::shared_ptr<Mailbox<std::string>> messages =
      std::make_shared<Mailbox<std::string>>(memory);
  const std::shared_ptr<Mailbox<BlobRef>> blobs = std::make_shared<Mailbox<BlobRef>>(memory);
  const std::shared_ptr<ContextNote> context_note = std::make_shared<ContextNote>(public_id);
};

}  // namespace pie::host
