#include "host/output.h"

#include <fmt/format.h>

#include <atomic>
#include <utility>

#include "host/guest_errors.h"

namespace pie::host {

struct Output::Gate final : wasm::Readiness {
  Gate() : Readiness(Start::kReady) {}
  std::atomic<bool> armed{false};  ///< the ports hold a callback that will fire this
};

Output::Output(std::shared_ptr<InstancePorts> ports, std::shared_ptr<Ending> ending,
               uint64_t bytes_max, UserQuotasRef shared)
    : ports_(std::move(ports)),
      ending_(std::move(ending)),
      bytes_max_(bytes_max),
      shared_(std::move(shared)),
      gate_(std::make_shared<Gate>()) {}

Result<void> Output::count(uint64_t bytes) {
  if (bytes > bytes_max_ || bytes_ > bytes_max_ - bytes)
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("output (stdout, stderr, messages and blobs together): used {} bytes "
                             "and {} more written, allowed {}",
                             bytes_, bytes, bytes_max_)};
  PIE_TRY(ports_->check_room(bytes));
  if (shared_ && shared_->stored_logs.would_exceed(bytes))
    return Error{
        ErrorCode::kResourceExhausted,
        shared_->stored_logs.refusal(bytes) + "; attach to finished instances, or terminate them"};
  if (shared_ && !shared_->output.take(bytes))
    return Error{ErrorCode::kResourceExhausted, shared_->output.refusal(bytes)};
  bytes_ += bytes;
  return {};
}

void Output::charge(uint64_t bytes) { value_or_throw(count(bytes)); }

void Output::write_stdout(std::string_view bytes) {
  if (auto counted = count(bytes.size()); !counted.ok()) return ending_->fail(counted.error());
  ports_->write_stdout(bytes);
}

void Output::write_stderr(std::string_view bytes) {
  if (auto counted = count(bytes.size()); !counted.ok()) return ending_->fail(counted.error());
  ports_->write_stderr(bytes);
}

wasm::ReadinessRef Output::writable() {
  if (ports_->writable_bytes() > 0) {
    if (!gate_->ready()) gate_->fire();
  } else if (!gate_->armed.exchange(true)) {
    gate_->reset();
    ports_->on_writable([gate = gate_] {
      gate->fire();  // before it can be armed, and reset, again
      gate->armed.store(false);
    });
  }
  return gate_;
}

}  // namespace pie::host
