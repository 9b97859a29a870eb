#include "engine/snapshot/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace pie::engine {
namespace {

constexpr std::string_view kMagic = "pie-kv-1";
constexpr uint64_t kHeaderBytesMax = 1ULL << 30;
constexpr size_t kFixedBytes = 8 + 8;  // magic, size of the header
constexpr size_t kHashBytes = 16;

void put(std::string& out, uint64_t number) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(number >> (8 * i) & 0xFF));
}
void put(std::string& out, const std::string& text) {
  put(out, text.size());
  out += text;
}
void put(std::string& out, const ContentHash& hash) {
  put(out, hash.high);
  put(out, hash.low);
}

/// Takes fields off the front; `ok` turns false, and everything zero, when there are too few bytes.
struct SnapshotReader {
  std::string_view rest;
  bool ok = true;

  std::string_view take(uint64_t size) {
    ok = ok && size <= rest.size();
    if (!ok) return {};
    const std::string_view taken = rest.substr(0, size);
    rest.remove_prefix(size);
    return taken;
  }
  uint64_t number() {
    uint64_t value = 0;
    const std::string_view bytes = take(8);
    for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
    return value;
  }
  std::string text() { return std::string(take(number())); }
  ContentHash hash() {
    const uint64_t high = number();
    return {high, number()};
  }
};

Error corrupt(const std::filesystem::path& path, std::string_view what) {
  return {ErrorCode::kCorrupt, fmt::format("[snapshot] got {} in {}, expected a whole file of ours",
                                           what, path.filename().string())};
}

Result<std::string> read_exactly(int file, uint64_t at, uint64_t size) {
  std::string bytes(size, '\0');
  for (size_t done = 0; done < size;) {
    const ssize_t count =
        pread(file, bytes.data() + done, size - done, static_cast<off_t>(at + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return Error{ErrorCode::kCorrupt, "[snapshot] got too few bytes"};
    done += static_cast<size_t>(count);
  }
  return bytes;
}

SnapshotHeader parse(SnapshotReader& in) {
  SnapshotHeader h;
  h.layout = in.text();
  h.user = in.text();
  h.name = in.text();
  h.created_s = in.number();
  h.expires_s = in.number();
  h.is_pinned = in.number() != 0;
  h.last_page_len = static_cast<uint32_t>(in.number());
  const uint64_t token_count = in.number();
  for (uint64_t i = 0; in.ok && i < token_count; ++i)
    h.tokens.push_back(static_cast<uint32_t>(in.number()));
  h.page_bytes = in.number();
  const uint64_t page_count = in.number();
  for (uint64_t i = 0; in.ok && i < page_count; ++i) {
    const bool is_stored = in.number() != 0;
    const ContentHash hash = in.hash();
    h.pages.push_back(is_stored ? std::optional(hash) : std::nullopt);
  }
  return h;
}

Result<SnapshotOpened> read_head(const std::filesystem::path& path, int file) {
  struct stat status = {};
  if (fstat(file, &status) != 0) return corrupt(path, strerror(errno));
  const auto file_size = static_cast<uint64_t>(status.st_size);
  const Result<std::string> fixed = read_exactly(file, 0, kFixedBytes);
  if (!fixed.ok() || !fixed->starts_with(kMagic)) return corrupt(path, "another beginning");
  SnapshotReader size_reader{std::string_view(*fixed).substr(kMagic.size())};
  const uint64_t size = size_reader.number();
  if (size > kHeaderBytesMax || size + kFixedBytes + kHashBytes > file_size)
    return corrupt(path, "a cut header");
  const Result<std::string> bytes = read_exactly(file, kFixedBytes, size + kHashBytes);
  if (!bytes.ok()) return corrupt(path, "a cut header");
  const std::string_view head = std::string_view(*bytes).substr(0, size);
  SnapshotReader hash_reader{std::string_view(*bytes).substr(size)};
  if (hash_content(std::as_bytes(std::span(head))) != hash_reader.hash())
    return corrupt(path, "a damaged header");
  SnapshotReader reader{head};
  SnapshotOpened opened{parse(reader), kFixedBytes + size + kHashBytes, file};
  if (!reader.ok || !reader.rest.empty()) return corrupt(path, "a header of another form");
  if (file_size != opened.header.bytes())
    return corrupt(path, fmt::format("{} bytes instead of {}", file_size, opened.header.bytes()));
  return opened;
}

std::string fields(const SnapshotHeader& h) {
  std::string out;
  for (const std::string* text : {&h.layout, &h.user, &h.name}) put(out, *text);
  put(out, h.created_s);
  put(out, h.expires_s);
  put(out, uint64_t{h.is_pinned ? 1U : 0U});
  put(out, uint64_t{h.last_page_len});
  put(out, h.tokens.size());
  for (const uint32_t token : h.tokens) put(out, uint64_t{token});
  put(out, h.page_bytes);
  put(out, h.pages.size());
  for (const auto& page : h.pages) {
    put(out, uint64_t{page ? 1U : 0U});
    put(out, page.value_or(ContentHash{}));
  }
  return out;
}

}  // namespace

uint64_t SnapshotHeader::stored_page_count() const {
  return static_cast<uint64_t>(
      std::ranges::count_if(pages, [](const auto& page) { return page.has_value(); }));
}

uint64_t SnapshotHeader::bytes() const {
  return kFixedBytes + fields(*this).size() + kHashBytes + stored_page_count() * page_bytes;
}

std::string snapshot_head(const SnapshotHeader& header) {
  const std::string body = fields(header);
  std::string out(kMagic);
  put(out, body);
  put(out, hash_content(std::as_bytes(std::span(body))));
  return out;
}

Result<SnapshotOpened> open_snapshot(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return Error{ErrorCode::kNotFound, fmt::format("[snapshot] got '{}' for {}", strerror(errno),
                                                   path.filename().string())};
  Result<SnapshotOpened> opened = read_head(path, file);
  if (!opened.ok()) ::close(file);
  return opened;
}

}  // namespace pie::engine
