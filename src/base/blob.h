#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace pie {

/// Immutable bytes of any size, in memory or in a file, read in pieces. Thread-safe.
class Blob {
 public:
  virtual ~Blob() = default;
  virtual uint64_t size() const = 0;
  /// What it takes of this process's memory: nothing of its bytes when they are in a file.
  virtual uint64_t memory_bytes() const = 0;
  /// Up to `n` bytes from `offset`; fewer at the end, none past it. Fails when the file is gone.
  virtual Result<std::vector<uint8_t>> read(uint64_t offset, uint64_t n) const = 0;
};
using BlobRef = std::shared_ptr<const Blob>;

/// A blob in memory.
BlobRef make_memory_blob(std::vector<uint8_t> bytes);
/// A blob in the file at `path`, which stays as it is; it is open only while it is read.
Result<BlobRef> open_file_blob(std::string path);

/// All bytes, in memory once. Fails as read(), and when the file has become shorter (kCorrupt).
Result<std::string> read_all(const Blob& blob);
/// write_file_atomically() of a blob, of which a piece is in memory at a time.
Result<void> write_blob_atomically(const std::filesystem::path& path, const Blob& blob);

}  // namespace pie
