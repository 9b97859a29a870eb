#pragma once
#include <cstdint>
#include <functional>
#include <memory>

namespace pie::net {

/// The threads that HTTP servers and clients share. Thread-safe; outlives what runs on it.
class IoThreads {
 public:
  explicit IoThreads(uint32_t count);
  ~IoThreads();  ///< as stop()
  IoThreads(const IoThreads&) = delete;
  IoThreads& operator=(const IoThreads&) = delete;

  /// Runs `task` after a while, unless stop() comes before.
  void post_after(uint64_t delay_ms, std::function<void()> task);
  /// Drops what has not run and joins the threads. Not from one of them.
  void stop();

  struct Impl;  ///< io_context.h, for the layer itself
  Impl& impl() { return *impl_; }

 private:
  const std::unique_ptr<Impl> impl_;
};

}  // namespace pie::net
