#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/quota.h"
#include "base/result.h"
#include "wasi/http.h"

namespace pie::host {

/// Counts the bytes that the host keeps on behalf of one instance (messages, blobs, forward passes,
/// results that were not taken): memory that the limit on its linear memory does not see.
/// Thread-safe.
class HostMemory final : public wasi::MemoryPort {
 public:
  /// `shared` bounds the user's instances together; it may be null.
  explicit HostMemory(uint64_t allowed_bytes, std::shared_ptr<Quota> shared = nullptr)
      : allowed_bytes_(allowed_bytes), shared_(std::move(shared)) {}

  /// Counts nothing when it would be too much: kResourceExhausted (which, used, allowed).
  Result<void> try_add(uint64_t bytes);
  /// The same; throws wasm::LimitError.
  void add(uint64_t bytes) override;
  void remove(uint64_t bytes) override;
  uint64_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }

 private:
  const uint64_t allowed_bytes_;
  const std::shared_ptr<Quota> shared_;
  std::atomic<uint64_t> used_bytes_{0};
};

/// A share of a HostMemory, given back when it is destroyed. One owner, any thread.
class Charge {
 public:
  explicit Charge(std::shared_ptr<HostMemory> memory) : memory_(std::move(memory)) {}
  Charge(Charge&& other) noexcept
      : memory_(other.memory_), bytes_(std::exchange(other.bytes_, 0)) {}
  Charge& operator=(Charge&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Charge() { release(); }

  /// Throws wasm::LimitError and keeps what it had when it would be too much.
  void add(uint64_t bytes) {
    memory_->add(bytes);
    bytes_ += bytes;
  }
  /// The same for who does not run in a program's call.
  Result<void> try_add(uint64_t bytes) {
    PIE_TRY(memory_->try_add(bytes));
    bytes_ += bytes;
    return {};
  }
  void release() { memory_->remove(std::exchange(bytes_, 0)); }
  uint64_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<HostMemory> memory_;
  uint64_t bytes_ = 0;
};

}  // namespace pie::host
