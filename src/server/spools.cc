#include "server/spools.h"

#include <cstdio>
#include <system_error>
#include <utility>

namespace pie::server {
namespace {

namespace fs = std::filesystem;
constexpr size_t kMemoryBytesMax = 4U << 20;

class Spool final : public protocol::UploadSpool {
 public:
  explicit Spool(fs::path path) : path_(std::move(path)) {}
  ~Spool() override {
    file_.reset();
    std::error_code ignored;
    if (!finished_) fs::remove(path_, ignored);
  }

  Result<void> write(const protocol::Bytes& bytes) override {
    if (!file_ && memory_.size() + bytes.size() <= kMemoryBytesMax) {
      memory_.insert(memory_.end(), bytes.begin(), bytes.end());
      return {};
    }
    if (!file_) {
      file_.reset(std::fopen(path_.c_str(), "wbxe"));
      if (!file_ || !put(memory_)) return failure();
      memory_ = {};
    }
    return put(bytes) ? Result<void>() : Result<void>(failure());
  }

  Result<BlobRef> finish() override {
    if (!file_) return make_memory_blob(std::move(memory_));
    if (std::fclose(file_.release()) != 0) return failure();
    finished_ = true;
    return make_spooled_blob(path_.string());
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  bool put(const protocol::Bytes& bytes) {
    return bytes.empty() || std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) == bytes.size();
  }
  Error failure() const {
    return {ErrorCode::kResourceExhausted,
            "[upload] got a failure to write " + path_.string() + ", expected room on the disk"};
  }

  const fs::path path_;
  protocol::Bytes memory_;
  std::unique_ptr<std::FILE, Close> file_;
  bool finished_ = false;
};

}  // namespace

Spools::Spools(fs::path folder) : folder_(std::move(folder)) {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
  fs::create_directories(folder_, ignored);
}

Result<std::unique_ptr<protocol::UploadSpool>> Spools::open(Kind) {
  return std::unique_ptr<protocol::UploadSpool>(
      std::make_unique<Spool>(folder_ / std::to_string(next_++)));
}

Result<std::string> read_all(const Blob& blob) {
  PIE_TRY_ASSIGN(const auto bytes, blob.read(0, blob.size()));
  return std::string(bytes.begin(), bytes.end());
}

}  // namespace pie::server
