#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/blake3.h"
#include "protocol/messages.h"

/// Programs and blobs travel in chunks of at most 262,144 bytes, numbered 0 to total - 1 in order;
/// one of zero bytes is a single empty chunk. The receiver checks the BLAKE3 of the whole.
namespace pie::protocol {

inline constexpr size_t kChunkBytesMax = 262'144;

/// How many chunks `size_bytes` take (at least 1).
constexpr uint64_t chunk_count(uint64_t size_bytes) {
  return size_bytes == 0 ? 1 : (size_bytes + kChunkBytesMax - 1) / kChunkBytesMax;
}

/// Checks one upload, chunk by chunk. It keeps no bytes: the caller stores those that accept()
/// tells it to. After a wrong chunk the rest is discarded, and the error is told once, at the
/// upload's last chunk, because that is when clients listen. Not thread-safe.
class ChunkReceiver {
 public:
  enum class Step {
    kStore,     ///< append the chunk's bytes; more are to come
    kComplete,  ///< append the chunk's bytes; that was the last one and the hash is right
    kDiscard,   ///< drop the chunk's bytes (and what was stored); more are to come
    kFailed,    ///< drop everything; that was the last chunk: answer with error()
  };

  /// `hash`: the expected BLAKE3 in hex. More than `bytes_max` bytes are refused.
  explicit ChunkReceiver(std::string hash, uint64_t bytes_max = UINT64_MAX);

  Step accept(const Chunk& chunk);
  /// Makes the upload fail for a reason of the caller's (a full disk): the same as a wrong chunk.
  /// Later reasons do not replace the first.
  void fail(Error error);

  /// Why the upload failed. Only after kDiscard, kFailed or fail().
  const Error& error() const { return *error_; }
  bool failed() const { return error_.has_value(); }
  const std::string& hash() const { return hash_; }
  uint64_t bytes_received() const { return bytes_; }

 private:
  std::optional<Error> check(const Chunk& chunk) const;

  std::string hash_;
  uint64_t bytes_max_;
  uint64_t bytes_ = 0;
  uint32_t next_index_ = 0;
  uint32_t total_ = 0;
  std::optional<Error> error_;
  crypto::Blake3 blake3_;
};

}  // namespace pie::protocol
