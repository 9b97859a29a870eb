#include "engine/swap_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace pie::engine {
namespace {

constexpr uint64_t kDefaultBytesMax = 16ULL << 30;
constexpr uint64_t kPlacesMax = 1 << 20;  // each is accounted for

Error disk_error(std::string_view what) {
  return {ErrorCode::kInternal,
          fmt::format("[swap file] got '{}' from {}, expected room on the disk: see swap_bytes_max",
                      strerror(errno), what)};
}

}  // namespace

Result<SwapFile> SwapFile::open(const std::filesystem::path& folder, uint64_t page_bytes) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  std::string path = (folder / "swap-XXXXXX").string();
  const int file = mkostemp(path.data(), O_CLOEXEC);
  if (file < 0) return disk_error("creating it in " + folder.string());
  unlink(path.c_str());
  return SwapFile(file, page_bytes);
}

SwapFile::SwapFile(SwapFile&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      page_bytes_(other.page_bytes_),
      hashes_(std::move(other.hashes_)) {}

SwapFile::~SwapFile() {
  if (file_ >= 0) ::close(file_);
}

Result<void> SwapFile::write(uint32_t place, std::span<const std::byte> bytes) {
  if (place >= hashes_.size()) hashes_.resize(place + 1);
  hashes_[place] = hash_content(bytes);
  auto at = static_cast<off_t>(place * page_bytes_);
  while (!bytes.empty()) {
    const ssize_t count = pwrite(file_, bytes.data(), bytes.size(), at);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return disk_error("pwrite");
    bytes = bytes.subspan(static_cast<size_t>(count));
    at += count;
  }
  return {};
}

Result<void> SwapFile::read(uint32_t place, std::span<std::byte> bytes) const {
  auto at = static_cast<off_t>(place * page_bytes_);
  for (std::span<std::byte> rest = bytes; !rest.empty();) {
    const ssize_t count = pread(file_, rest.data(), rest.size(), at);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return disk_error("pread");
    rest = rest.subspan(static_cast<size_t>(count));
    at += count;
  }
  if (hash_content(bytes) == hashes_[place]) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("[swap file] got other bytes for page {} than were written", place)};
}

uint32_t swap_page_count(const std::filesystem::path& folder, uint64_t bytes_max,
                         uint64_t page_bytes) {
  if (bytes_max == 0) {
    std::error_code failed;
    std::filesystem::create_directories(folder, failed);
    struct statvfs disk = {};
    if (statvfs(folder.c_str(), &disk) != 0) return 0;
    bytes_max = std::min(kDefaultBytesMax, uint64_t{disk.f_bavail} * disk.f_frsize / 4);
  }
  return static_cast<uint32_t>(std::min(kPlacesMax, bytes_max / page_bytes));
}

}  // namespace pie::engine
