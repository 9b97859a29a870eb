#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "base/ledger.h"
#include "host/ending.h"
#include "host/instance_ports.h"
#include "wasi/wasi.h"
#include "wasm/readiness.h"

namespace pie::host {

/// The one way out of an instance: stdout, stderr, messages and blobs, counted together against
/// output_bytes_max. Thread: the instance's fiber only.
class Output final : public wasi::OutputPorts {
 public:
  Output(std::shared_ptr<InstancePorts> ports, std::shared_ptr<Ending> ending, uint64_t bytes_max,
         UserQuotasRef shared = nullptr);

  // The program's stdio. Writes over the limit are dropped and end the instance from outside,
  // because WASI writes also where nothing may be thrown.
  void write_stdout(std::string_view bytes) override;
  void write_stderr(std::string_view bytes) override;
  /// How many bytes the instance's log takes now; 0: wait for writable().
  uint64_t writable_bytes() override { return ports_->writable_bytes(); }
  void on_writable(std::function<void()> wake) override { ports_->on_writable(std::move(wake)); }

  /// Counts bytes that are about to be written. Throws wasm::LimitError (which, used, allowed).
  void charge(uint64_t bytes);
  InstancePorts& ports() { return *ports_; }

  /// Ready while the log takes output, as far as the last call knew.
  wasm::ReadinessRef writable();

 private:
  /// Shared with the callback that the ports hold, which may outlive the instance.
  struct Gate;

  Result<void> count(uint64_t bytes);

  std::shared_ptr<InstancePorts> ports_;
  std::shared_ptr<Ending> ending_;
  const uint64_t bytes_max_;
  const UserQuotasRef shared_;
  uint64_t bytes_ = 0;
  std::shared_ptr<Gate> gate_;
};

}  // namespace pie::host
