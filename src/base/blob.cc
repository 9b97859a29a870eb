#include "base/blob.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "base/unique_fd.h"

namespace pie {
namespace {

/// What is read at once of a whole blob.
constexpr uint64_t kPieceBytes = 1 << 20;

class MemoryBlob final : public Blob {
 public:
  explicit MemoryBlob(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  uint64_t memory_bytes() const override { return sizeof(*this) + bytes_.size(); }
  Result<std::vector<uint8_t>> read(uint64_t offset, uint64_t n) const override {
    if (offset >= bytes_.size()) return std::vector<uint8_t>();
    const uint64_t take = std::min<uint64_t>(n, bytes_.size() - offset);
    const auto from = bytes_.begin() + static_cast<std::ptrdiff_t>(offset);
    return std::vector<uint8_t>(from, from + static_cast<std::ptrdiff_t>(take));
  }

 private:
  std::vector<uint8_t> bytes_;
};

class FileBlob final : public Blob {
 public:
  FileBlob(std::string path, uint64_t size) : path_(std::move(path)), size_(size) {}
  uint64_t size() const override { return size_; }
  uint64_t memory_bytes() const override { return sizeof(*this) + path_.size(); }
  Result<std::vector<uint8_t>> read(uint64_t offset, uint64_t n) const override {
    if (offset >= size_) return std::vector<uint8_t>();
    const UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return system_error("open", path_);
    std::vector<uint8_t> bytes(std::min<uint64_t>(n, size_ - offset));
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t got = ::pread(fd.get(), bytes.data() + done, bytes.size() - done,
                                  static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return system_error("read", path_);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    bytes.resize(done);
    return bytes;
  }

 private:
  const std::string path_;
  const uint64_t size_;
};

/// Shows `take` every piece, in order.
template <class Take>
Result<void> read_pieces(const Blob& blob, Take&& take) {
  for (uint64_t done = 0; done < blob.size();) {
    PIE_TRY_ASSIGN(const std::vector<uint8_t> piece, blob.read(done, kPieceBytes));
    if (piece.empty())
      return Error{ErrorCode::kCorrupt, "[blob] got its end at " + std::to_string(done) +
                                            " bytes, expected " + std::to_string(blob.size())};
    PIE_TRY(take(std::string_view(reinterpret_cast<const char*>(piece.data()), piece.size())));
    done += piece.size();
  }
  return {};
}

}  // namespace

Result<std::string> read_all(const Blob& blob) {
  std::string bytes;
  bytes.reserve(blob.size());
  PIE_TRY(read_pieces(blob, [&](std::string_view piece) -> Result<void> {
    bytes += piece;
    return {};
  }));
  return bytes;
}

Result<void> write_blob_atomically(const std::filesystem::path& path, const Blob& blob) {
  return write_file_atomically(path, [&](int fd) {
    return read_pieces(blob, [&](std::string_view piece) -> Result<void> {
      if (!write_all(fd, piece)) return system_error("write", path);
      return {};
    });
  });
}

BlobRef make_memory_blob(std::vector<uint8_t> bytes) {
  return std::make_shared<MemoryBlob>(std::move(bytes));
}

Result<BlobRef> open_file_blob(std::string path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return system_error("open", path);
  return BlobRef(std::make_shared<FileBlob>(std::move(path), static_cast<uint64_t>(info.st_size)));
}

}  // namespace pie
