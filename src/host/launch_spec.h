#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/blob.h"
#include "base/ledger.h"
#include "base/limits.h"
#include "base/strong_id.h"
#include "host/instance_ports.h"

namespace pie {
class IncomingExchange;
}

namespace pie::host {

/// What can be launched: a validated, compiled component, or a file that one of them runs.
/// Immutable, shared by its instances.
class Program {
 public:
  virtual ~Program() = default;
  /// Of the file that was uploaded.
  virtual const std::string& hash() const = 0;
  /// That file, when it is no component but is run by a runtime; else null.
  virtual BlobRef source() const = 0;
  /// It exports wasi:http/incoming-handler.
  virtual bool serves_http() const = 0;
};

/// Whether the connection that asks for an instance hears it from the start.
enum class LaunchMode { kAttached, kDetached };

/// One launch, from the request for it to the fiber that runs it: filled in on its way down.
struct LaunchSpec {
  // By who asks for it.
  std::string user;
  std::shared_ptr<const Program> program;
  std::string display_name;  ///< of the program: "ns/name@version", or its hash
  std::vector<std::string> arguments;
  LaunchMode mode = LaunchMode::kAttached;
  uint16_t http_port = 0;  ///< it serves HTTP there; 0: it runs

  // By `instance`, which admits it.
  InstanceId id;
  std::string public_id;  ///< what clients and `get-instance-id` see
  InstanceLimits limits;
  UserQuotasRef quotas;  ///< with the user's other instances; may be null
  std::shared_ptr<InstancePorts> ports;
  /// The request that it is to serve; null: it runs inferlet:core/run.
  std::shared_ptr<IncomingExchange> exchange;
};

}  // namespace pie::host
