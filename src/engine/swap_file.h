#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/content_hash.h"
#include "base/result.h"

namespace pie::engine {

/// A file without a name for pages of one size, gone with the process. Thread: one.
class SwapFile {
 public:
  /// In `folder`, which is made if need be; the file grows as it is written.
  static Result<SwapFile> open(const std::filesystem::path& folder, uint64_t page_bytes);
  SwapFile(SwapFile&& other) noexcept;
  SwapFile& operator=(SwapFile&&) = delete;
  ~SwapFile();

  Result<void> write(uint32_t place, std::span<const std::byte> bytes);
  /// kCorrupt when the bytes are not those that were written there.
  Result<void> read(uint32_t place, std::span<std::byte> bytes) const;

 private:
  SwapFile(int file, uint64_t page_bytes) : file_(file), page_bytes_(page_bytes) {}
  int file_;
  uint64_t page_bytes_;
  std::vector<ContentHash> hashes_;  // by place
};

/// How many pages a swap file in `folder` may have: `bytes_max`, or for 0 a quarter of the free
/// disk space, at most 16 GiB. Not more than a million.
uint32_t swap_page_count(const std::filesystem::path& folder, uint64_t bytes_max,
                         uint64_t page_bytes);

}  // namespace pie::engine
