#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace pie::crypto {

/// Incremental BLAKE3 (O'Connor et al., 2020), 32 bytes of output. Not thread-safe.
class Blake3 {
 public:
  Blake3();
  ~Blake3();
  Blake3(Blake3&&) noexcept;
  Blake3& operator=(Blake3&&) noexcept;

  void update(std::span<const uint8_t> bytes);
  void update(std::string_view bytes);
  /// The hash of everything so far: 64 lower-case hex digits. Does not end the hash.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The hash of `bytes`: 64 lower-case hex digits.
std::string blake3_hex(std::span<const uint8_t> bytes);
std::string blake3_hex(std::string_view bytes);

/// Whether `text` reads like a hash: exactly 64 hex digits, lower case.
bool is_blake3_hex(std::string_view text);

}  // namespace pie::crypto
