#include "protocol/chunks.h"

#include <fmt/format.h>

#include <utility>

namespace pie::protocol {
namespace {

Error wrong(std::string message) { return Error{ErrorCode::kInvalidArgument, std::move(message)}; }

std::string expected_got(const char* what, uint64_t expected, uint64_t got) {
  return fmt::format("{}: expected {}, got {}", what, expected, got);
}

}  // namespace

ChunkReceiver::ChunkReceiver(std::string hash, uint64_t bytes_max)
    : hash_(std::move(hash)), bytes_max_(bytes_max) {}

std::optional<Error> ChunkReceiver::check(const Chunk& chunk) const {
  if (chunk.data.size() > kChunkBytesMax) {
    return wrong(fmt::format("Chunk size {} exceeds limit {}", chunk.data.size(), kChunkBytesMax));
  }
  if (next_index_ == 0) {
    if (chunk.index != 0) return wrong("First chunk index must be 0");
    if (chunk.total == 0) return wrong(expected_got("Chunk count mismatch", 1, 0));
  } else {
    if (chunk.total != total_) {
      return wrong(expected_got("Chunk count mismatch", total_, chunk.total));
    }
    if (chunk.index != next_index_) {
      return wrong(expected_got("Out-of-order chunk", next_index_, chunk.index));
    }
  }
  if (chunk.data.size() > bytes_max_ - bytes_) {
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[upload] got more than {} bytes, expected at most that; send less or "
                             "raise the server's limit",
                             bytes_max_)};
  }
  return std::nullopt;
}

ChunkReceiver::Step ChunkReceiver::accept(const Chunk& chunk) {
  const bool is_last = uint64_t{chunk.index} + 1 >= chunk.total;
  if (!error_) error_ = check(chunk);
  if (!error_) {
    total_ = chunk.total;
    ++next_index_;
    bytes_ += chunk.data.size();
    blake3_.update(chunk.data);
    if (!is_last) return Step::kStore;
    const std::string got = blake3_.hex();
    if (got == hash_) return Step::kComplete;
    error_ = wrong(fmt::format("Hash mismatch: expected {}, got {}", hash_, got));
  }
  return is_last ? Step::kFailed : Step::kDiscard;
}

void ChunkReceiver::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

}  // namespace pie::protocol
