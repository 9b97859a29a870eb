#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace pie {

/// Names content: 128 bits that differ when bytes differ by accident. Fast (memory speed), the same
/// on every machine, and no protection against somebody who wants two contents to be called alike:
/// whoever must not be fooled compares the contents.
struct ContentHash {
  uint64_t high = 0, low = 0;

  auto operator<=>(const ContentHash&) const = default;
  /// 32 lower-case hex digits.
  std::string hex() const;
};

/// Hashes bytes that come in pieces; how they are cut does not matter. Not thread-safe.
class ContentHasher {
 public:
  ContentHasher();

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text))); }
  /// The hash of everything so far. Does not end the hash.
  ContentHash hash() const;

 private:
  static constexpr size_t kLanes = 4;
  static constexpr size_t kBlock = kLanes * sizeof(uint64_t);
  void take_block(const std::byte* block);

  std::array<uint64_t, kLanes> lanes_;
  std::array<std::byte, kBlock> rest_{};
  size_t rest_size_ = 0;
  uint64_t size_ = 0;
};

/// The hash of `bytes`.
ContentHash hash_content(std::span<const std::byte> bytes);

}  // namespace pie
