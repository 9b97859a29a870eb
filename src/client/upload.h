#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace pie::client {

/// Bytes to upload, read in pieces, twice: once for the hash, once to send. Used by the client's
/// thread.
struct UploadSource {
  uint64_t size_bytes = 0;
  /// Fills `out` from `offset`; both lie within the size.
  std::function<Result<void>(uint64_t offset, std::span<uint8_t> out)> read;
};

/// `bytes` must stay valid and unchanged as long as `owner` lives.
UploadSource borrowed_source(std::span<const uint8_t> bytes, std::shared_ptr<void> owner);
/// The file, which must not change meanwhile (the server checks the hash). kNotFound, kInternal.
Result<UploadSource> file_source(const std::string& path);

/// Told how much has been given to the connection so far, on the client's thread.
using Progress = std::function<void(uint64_t sent_bytes, uint64_t total_bytes)>;

}  // namespace pie::client
