#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/content_hash.h"
#include "base/result.h"

namespace pie::model {

/// A model file that is open for reading and is expected to stay as it is. Nothing of it is mapped:
/// a file that others cut or write over gives an error, and what was read before stays what it was.
/// Thread-safe.
class SourceFile {
 public:
  /// kNotFound, kPermissionDenied, kInvalidArgument (no regular file), kCorrupt (empty).
  static Result<SourceFile> open(const std::filesystem::path& path);
  SourceFile(SourceFile&& other) noexcept;
  SourceFile& operator=(SourceFile&& other) noexcept;
  ~SourceFile();

  uint64_t size() const { return size_; }
  /// The bytes from `offset` on, as they were when the file was opened: kCorrupt when its size or
  /// the time of its last change is another one now (the message says what to do).
  Result<void> read(uint64_t offset, std::span<std::byte> out) const;
  /// As many bytes as there are, at most out.size(); 0 also after an error. Not checked for
  /// changes.
  size_t read_some(uint64_t offset, std::span<std::byte> out) const;
  /// Adds all of its bytes. kCorrupt as read().
  Result<void> hash(ContentHasher& hasher) const;

 private:
  SourceFile(int file, std::filesystem::path path) : file_(file), path_(std::move(path)) {}
  Result<void> check_unchanged() const;

  int file_ = -1;
  std::filesystem::path path_;
  uint64_t size_ = 0;
  int64_t changed_s_ = 0, changed_ns_ = 0;  ///< time of the last change when it was opened
};

}  // namespace pie::model
