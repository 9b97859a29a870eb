#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "wasi/http.h"

namespace pie::host {

/// Counts the bytes that the host keeps on behalf of one instance (blobs, forward passes, results
/// that were not taken): memory that the limit on its linear memory does not see. Thread-safe.
class HostMemory final : public wasi::MemoryPort {
 public:
  explicit HostMemory(uint64_t allowed_bytes) : allowed_bytes_(allowed_bytes) {}

  /// Throws wasm::LimitError (which, used, allowed) and counts nothing when it would be too much.
  void add(uint64_t bytes) override;
  void remove(uint64_t bytes) override { used_bytes_.fetch_sub(bytes, std::memory_order_relaxed); }
  uint64_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }

 private:
  const uint64_t allowed_bytes_;
  std::atomic<uint64_t> used_bytes_{0};
};

/// A share of a HostMemory, given back when it is destroyed. One owner, any thread.
class Charge {
 public:
  explicit Charge(std::shared_ptr<HostMemory> memory) : memory_(std::move(memory)) {}
  Charge(Charge&& other) noexcept
      : memory_(other.memory_), bytes_(std::exchange(other.bytes_, 0)) {}
  Charge& operator=(Charge&&) = delete;
  ~Charge() { release(); }

  /// Throws wasm::LimitError and keeps what it had when it would be too much.
  void add(uint64_t bytes) {
    memory_->add(bytes);
    bytes_ += bytes;
  }
  void release() { memory_->remove(std::exchange(bytes_, 0)); }
  uint64_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<HostMemory> memory_;
  uint64_t bytes_ = 0;
};

}  // namespace pie::host
