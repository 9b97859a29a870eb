#pragma once
#include <cstddef>
#include <filesystem>
#include <span>

#include "base/result.h"

namespace pie::model {

/// A file mapped read-only for as long as the object lives; its bytes stay where they are when the
/// object moves.
class MappedFile {
 public:
  /// kNotFound, kPermissionDenied, kInvalidArgument (no regular file), kCorrupt (empty).
  static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

}  // namespace pie::model
