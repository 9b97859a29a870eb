#include "wasi/wasi_context.h"

namespace pie::wasi {

uint64_t WasiContext::writable_bytes() {
  const uint64_t bytes = config_.output->writable_bytes();
  if (bytes > 0) return bytes;
  writable_->event->reset();
  if (!writable_->armed.exchange(true)) {
    config_.output->on_writable([writable = writable_] {
      writable->armed.store(false);
      writable->event->fire();
    });
  }
  return 0;
}

std::unique_ptr<wasm::InstanceContext> make_wasi_context(WasiConfig config) {
  return std::make_unique<WasiContext>(std::move(config));
}

}  // namespace pie::wasi
