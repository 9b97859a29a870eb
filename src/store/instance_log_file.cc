#include "store/instance_log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/file.h"
#include "base/log.h"

namespace pie::store {
namespace {

constexpr uint32_t kMagic = 0x31474C50;  // "PLG1"
constexpr uint8_t kTypeEvent = 1;
constexpr uint8_t kTypeDelivered = 2;
constexpr size_t kHeaderBytes = 24;
constexpr uint64_t kShrinkFromBytes = 1ULL << 20;
using Header = std::array<uint8_t, kHeaderBytes>;

uint32_t fnv1a(const uint8_t* bytes, size_t count) {
  uint32_t hash = 2166136261U;
  for (size_t i = 0; i < count; ++i) hash = (hash ^ bytes[i]) * 16777619U;
  return hash;
}

void put(uint8_t* at, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) at[i] = static_cast<uint8_t>(value >> (8 * i));
}

uint64_t get(const uint8_t* at, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(at[i]) << (8 * i);
  return value;
}

bool is_known(uint8_t kind, uint8_t code) {
  return kind >= static_cast<uint8_t>(EventKind::kStdout) &&
         kind <= static_cast<uint8_t>(EventKind::kEnd) &&
         code >= static_cast<uint8_t>(EndKind::kCompleted) &&
         code <= static_cast<uint8_t>(EndKind::kOutOfResources);
}

Header encode(uint8_t type, uint8_t kind, uint8_t code, uint64_t seq, size_t payload_bytes) {
  Header header{};
  put(&header[0], kMagic, 4);
  header[4] = type;
  header[5] = kind;
  header[6] = code;
  put(&header[8], seq, 8);
  put(&header[16], payload_bytes, 4);
  put(&header[20], fnv1a(header.data(), 20), 4);
  return header;
}

bool is_sound(const Header& header) {
  return get(&header[0], 4) == kMagic && get(&header[20], 4) == fnv1a(header.data(), 20) &&
         (header[4] == kTypeEvent || header[4] == kTypeDelivered);
}

}  // namespace

Result<std::unique_ptr<InstanceLogFile>> InstanceLogFile::open(const std::filesystem::path& path) {
  std::unique_ptr<InstanceLogFile> file(new InstanceLogFile(path));
  auto loaded = file->load();
  file->release();
  if (!loaded.ok() && loaded.error().code != ErrorCode::kNotFound) return std::move(loaded).error();
  return file;
}

std::unique_ptr<InstanceLogFile> InstanceLogFile::create(const std::filesystem::path& path) {
  return std::unique_ptr<InstanceLogFile>(new InstanceLogFile(path));
}

InstanceLogFile::~InstanceLogFile() { release(); }

void InstanceLogFile::release() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Result<void> InstanceLogFile::access(int flags) {
  if (fd_ < 0) fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC | flags, 0600);
  return fd_ < 0 ? Result<void>(system_error("open", path_)) : Result<void>();
}

Result<void> InstanceLogFile::load() {
  PIE_TRY(access(0));
  struct stat info{};
  if (::fstat(fd_, &info) != 0) return system_error("stat", path_);
  const auto file_bytes = static_cast<uint64_t>(info.st_size);
  uint64_t delivered = 0;
  Header header{};
  while (size_ + kHeaderBytes <= file_bytes) {
    const ssize_t n = ::pread(fd_, header.data(), kHeaderBytes, static_cast<off_t>(size_));
    if (n < 0) return system_error("read", path_);  // not the same as an event that was cut off
    if (n != static_cast<ssize_t>(kHeaderBytes) || !is_sound(header)) break;
    const uint64_t payload_bytes = get(&header[16], 4);
    if (size_ + kHeaderBytes + payload_bytes > file_bytes) break;
    const uint64_t seq = get(&header[8], 8);
    if (header[4] == kTypeDelivered) {
      delivered = std::max(delivered, seq);
      is_end_delivered_ = header[5] == static_cast<uint8_t>(EventKind::kEnd);
    } else {
      last_kind_ = header[5];
      is_end_delivered_ = false;
    }
    if (header[4] == kTypeEvent && is_known(header[5], header[6]))
      records_.push_back({seq, static_cast<EventKind>(header[5]), static_cast<EndKind>(header[6]),
                          size_ + kHeaderBytes, static_cast<uint32_t>(payload_bytes)});
    last_seq_ = std::max(last_seq_, seq);
    size_ += kHeaderBytes + payload_bytes;
  }
  if (size_ < file_bytes) {
    log::warning("{}: dropped {} bytes of an event that a crash cut off", path_.string(),
                 file_bytes - size_);
    if (::ftruncate(fd_, static_cast<off_t>(size_)) != 0) return system_error("truncate", path_);
  }
  std::erase_if(records_, [delivered](const EventRecord& one) { return one.seq <= delivered; });
  return {};
}

Result<uint64_t> InstanceLogFile::write(const Entry& entry, std::string_view payload) {
  PIE_TRY(access(entry.type == kTypeEvent ? O_CREAT : 0));
  Header header = encode(entry.type, entry.kind, entry.code, entry.seq, payload.size());
  uint64_t at = size_;
  const auto write_part = [&](const char* bytes, size_t count) {
    while (count > 0) {
      const ssize_t n = ::pwrite(fd_, bytes, count, static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return false;
      bytes += n, at += static_cast<uint64_t>(n), count -= static_cast<size_t>(n);
    }
    return true;
  };
  const iovec parts[] = {{header.data(), header.size()},
                         {const_cast<char*>(payload.data()), payload.size()}};
  const ssize_t n = ::pwritev(fd_, parts, 2, static_cast<off_t>(size_));
  const auto done = static_cast<size_t>(std::max<ssize_t>(n, 0));
  at += done;
  bool whole = n >= 0 || errno == EINTR;
  if (whole && done < kHeaderBytes)
    whole = write_part(reinterpret_cast<const char*>(header.data()) + done, kHeaderBytes - done);
  if (whole) {
    const size_t rest = std::max(done, kHeaderBytes) - kHeaderBytes;
    whole = write_part(payload.data() + rest, payload.size() - rest);
  }
  if (!whole) {
    Error error = system_error("write", path_);
    // What is left of the part would be taken for an event behind the next one.
    if (::ftruncate(fd_, static_cast<off_t>(size_)) != 0)
      log::warning("{}: a part of an event stays", path_.string());
    return error;
  }
  const uint64_t payload_offset = size_ + kHeaderBytes;
  size_ = at;
  last_seq_ = std::max(last_seq_, entry.seq);
  return payload_offset;
}

Result<uint64_t> InstanceLogFile::append(const EventRecord& record, std::string_view payload) {
  const Entry entry{kTypeEvent, static_cast<uint8_t>(record.kind), static_cast<uint8_t>(record.end),
                    record.seq};
  PIE_TRY_ASSIGN(const uint64_t payload_offset, write(entry, payload));
  last_kind_ = entry.kind;
  return payload_offset;
}

Result<std::string> InstanceLogFile::read(uint64_t payload_offset, uint32_t payload_bytes) {
  PIE_TRY(access(0));
  std::string bytes(payload_bytes, '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::pread(fd_, bytes.data() + done, bytes.size() - done,
                              static_cast<off_t>(payload_offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("read", path_);
    if (n == 0)
      return Error{ErrorCode::kCorrupt,
                   "[read " + path_.string() + "] got the end of the file at " +
                       std::to_string(payload_offset + done) + ", expected an event's bytes"};
    done += static_cast<size_t>(n);
  }
  return bytes;
}

Result<void> InstanceLogFile::mark_delivered(uint64_t seq) {
  if (size_ == 0) return {};
  const bool is_all = seq >= last_seq_;
  const Entry marker{
      .type = kTypeDelivered, .kind = is_all ? last_kind_ : uint8_t{0}, .code = 0, .seq = seq};
  if (is_all && size_ >= kShrinkFromBytes) return replace_by_marker(marker);
  PIE_TRY(write(marker, {}));
  return {};
}

/// One rename, so that a crash finds the old file or the new one.
Result<void> InstanceLogFile::replace_by_marker(const Entry& marker) {
  const Header header = encode(marker.type, marker.kind, marker.code, marker.seq, 0);
  const std::filesystem::path fresh = path_.string() + ".new";
  const int fd = ::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return system_error("create", path_);
  const bool is_written =
      ::pwrite(fd, header.data(), header.size(), 0) == static_cast<ssize_t>(header.size()) &&
      ::rename(fresh.c_str(), path_.c_str()) == 0;
  if (!is_written) {
    Error error = system_error("replace", path_);
    ::close(fd);
    ::unlink(fresh.c_str());
    return error;
  }
  release();
  fd_ = fd;
  size_ = kHeaderBytes;
  return {};
}

}  // namespace pie::store
