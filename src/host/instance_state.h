#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/blob.h"
#include "base/ledger.h"
#include "host/ending.h"
#include "host/host_memory.h"
#include "host/mailbox.h"
#include "host/model_service.h"
#include "host/output.h"
#include "host/program_host.h"
#include "wasm/call.h"

namespace pie::host {

/// What the host's functions keep per instance. Thread: the instance's fiber only, except what is
/// held by shared_ptr (those say so themselves).
struct InstanceState final : wasm::InstanceContext {
  InstanceState(const Services& services_, const LaunchSpec& spec)
      : services(services_),
        id(spec.id),
        public_id(spec.public_id),
        user(spec.user),
        arguments(spec.arguments),
        limits(spec.limits),
        cpu_quota(part_of(spec.quotas, &UserQuotas::cpu)),
        ending(std::make_shared<Ending>()),
        output(std::make_shared<Output>(spec.ports, ending, spec.limits.output_bytes_max,
                                        spec.quotas)),
        memory(std::make_shared<HostMemory>(spec.limits.host_bytes_max,
                                            part_of(spec.quotas, &UserQuotas::host_memory))) {}

  const Services& services;
  const InstanceId id;
  const std::string public_id;
  const std::string user;
  const std::vector<std::string> arguments;
  const InstanceLimits limits;
  const std::shared_ptr<Quota> cpu_quota;  ///< of the user; may be null
  const std::shared_ptr<Ending> ending;
  const std::shared_ptr<Output> output;
  const std::shared_ptr<HostMemory> memory;
  std::string return_value;
  Charge return_charge{memory}, argument_charge{memory};
  const std::shared_ptr<std::atomic<uint32_t>> queue_count =
      std::make_shared<std::atomic<uint32_t>>(0);  ///< live queues
  uint32_t subscription_count = 0;                 ///< live subscriptions
  bool has_noted_context = false;  ///< the log says that a context is beyond the model's length
  const std::shared_ptr<Mailbox<std::string>> messages =
      std::make_shared<Mailbox<std::string>>(memory);
  const std::shared_ptr<Mailbox<BlobRef>> blobs = std::make_shared<Mailbox<BlobRef>>(memory);
};

/// The state of the calling instance.
inline InstanceState& state_of(wasm::Call& call) {
  return call.context<InstanceState>(wasm::kHostContext);
}

}  // namespace pie::host
