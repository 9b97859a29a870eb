#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wasi/wasi.h"
#include "wasm/object.h"

namespace pie::wasi {

/// WASI's state of one instance. Used by the thread that runs it.
class WasiContext final : public wasm::InstanceContext {
 public:
  static constexpr size_t kContext = wasm::kWasiContext;
  explicit WasiContext(WasiConfig config) : config_(std::move(config)) {}

  const std::vector<std::string>& arguments() const { return config_.arguments; }
  OutputPorts& output() { return *config_.output; }
  wasm::ReadinessRef timer(uint64_t ns) { return config_.timer(ns); }
  OutgoingHttp* http() { return config_.http; }
  const std::string& user() const { return config_.user; }
  const std::shared_ptr<MemoryPort>& memory() const { return config_.memory; }
  /// How many requests to others are under way.
  const std::shared_ptr<std::atomic<uint32_t>>& outgoing_requests() const { return outgoing_; }

  /// How much output is taken now. When none is, writable() is not ready until some is.
  uint64_t writable_bytes();
  /// Ready while output is taken, as far as writable_bytes() has last seen.
  const wasm::ReadinessRef& writable() const { return writable_->event; }

 private:
  /// Shared with the callback that the log keeps while it is full.
  struct Writable {
    wasm::ReadinessRef event = std::make_shared<wasm::Readiness>(wasm::Readiness::Start::kReady);
    std::atomic<bool> armed{false};
  };

  WasiConfig config_;
  const std::shared_ptr<Writable> writable_ = std::make_shared<Writable>();
  const std::shared_ptr<std::atomic<uint32_t>> outgoing_ =
      std::make_shared<std::atomic<uint32_t>>(0);
};

}  // namespace pie::wasi
