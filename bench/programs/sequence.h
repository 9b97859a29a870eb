#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "pie/forward.h"
#include "pie/kv_pages.h"
#include "pie/runtime.h"

namespace bench {

/// Nanoseconds of the host's monotonic clock: comparable between programs of one machine.
uint64_t now_ns();

/// Token ids that no earlier run has used in this order: seeded by the host's random source.
class RandomTokens {
 public:
  RandomTokens();
  std::vector<uint32_t> take(size_t count);

 private:
  std::mt19937_64 source_;
};

/// Tokens in KV pages, computed pass by pass: the least that a program does for a token. Copies
/// share their full pages; a copy is made at a page boundary.
class Sequence {
 public:
  explicit Sequence(std::shared_ptr<inferlet::KvPages> pool)
      : pool_(std::move(pool)), pass_(pool_->queue()) {}
  /// A second sequence that goes on from here; size() is a multiple of the page size.
  Sequence fork() const;

  /// Starts to compute `tokens` and to choose the token after them (the most probable one).
  void begin(const std::vector<uint32_t>& tokens);
  /// Waits for that token; none when the host gave none.
  std::optional<uint32_t> end();

  size_t size() const { return size_; }
  size_t page_count() const { return pages_.size(); }

 private:
  std::shared_ptr<inferlet::KvPages> pool_;
  inferlet::ForwardPass pass_;
  std::vector<std::shared_ptr<const inferlet::KvPage>> pages_;
  std::vector<uint32_t> numbers_;
  std::optional<inferlet::PassResult> result_;
  size_t size_ = 0;
};

}  // namespace bench
