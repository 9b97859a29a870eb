#include "client/archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/crc.hpp>
#include <memory>
#include <system_error>
#include <utility>

#include "base/archive.h"
#include "base/file.h"
#include "base/utf8.h"

namespace pie::client {
namespace {

namespace fs = std::filesystem;

// APPNOTE.TXT, sections 4.3 and 4.4.
constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kCentralHeader = 0x02014b50;
constexpr uint32_t kEndOfDirectory = 0x06054b50;
constexpr uint16_t kVersion = 10;         // 1.0: stored
constexpr uint16_t kMadeByUnix = 3 << 8;  // attributes are a mode
constexpr uint16_t kNamesAreUtf8 = 1 << 11;
constexpr uint16_t kDate = (1 << 5) | 1;  // 1980-01-01
constexpr uint32_t kMode = 0100644U << 16;
constexpr size_t kFilesMax = 65'535;

/// Little-endian numbers one after the other.
class Record {
 public:
  Record& u16(uint64_t value) { return number(value, 2); }
  Record& u32(uint64_t value) { return number(value, 4); }
  const std::string& bytes() const { return bytes_; }

 private:
  Record& number(uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes_ += static_cast<char>(value >> (8 * i) & 0xff);
    return *this;
  }
  std::string bytes_;
};

/// What the local header and the directory both say of a file.
Record& add_common(Record& record, const ArchiveFile& file) {
  boost::crc_32_type crc;
  crc.process_bytes(file.bytes.data(), file.bytes.size());
  return record.u16(kVersion)
      .u16(kNamesAreUtf8)
      .u16(0)  // stored
      .u16(0)  // midnight
      .u16(kDate)
      .u32(crc.checksum())
      .u32(file.bytes.size())
      .u32(file.bytes.size())
      .u16(file.name.size())
      .u16(0);  // no extra field
}

Error too_large(const std::string& what, uint64_t got, uint64_t allowed) {
  return {
      ErrorCode::kInvalidArgument,
      fmt::format("[program] got {} {}, expected at most {} in one program", got, what, allowed)};
}

bool is_left_out(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with('.') || name == "__pycache__";
}

Error unreadable(const fs::path& path, const std::error_code& failed) {
  return {ErrorCode::kInternal, fmt::format("[program] {}: {}", path.string(), failed.message())};
}

Result<std::vector<ArchiveFile>> files_below(const fs::path& folder) {
  std::vector<ArchiveFile> files;
  uint64_t bytes = 0;
  std::error_code failed;
  for (fs::recursive_directory_iterator i(folder, failed), end; !failed && i != end;
       i.increment(failed)) {
    if (is_left_out(i->path())) {
      if (i->is_directory(failed)) i.disable_recursion_pending();
      failed.clear();
      continue;
    }
    if (!i->is_regular_file(failed)) {
      failed.clear();  // a link that leads nowhere
      continue;
    }
    bytes += i->file_size(failed);
    if (failed) break;
    if (bytes > kArchiveBytesMax)
      return too_large("bytes of files below " + folder.string(), bytes, kArchiveBytesMax);
    PIE_TRY_ASSIGN(std::string content, read_file(i->path()));
    files.push_back({i->path().lexically_relative(folder).generic_string(), std::move(content)});
  }
  if (failed) return unreadable(folder, failed);
  if (files.empty())
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("[program] got the folder {} without files, expected a Python program: "
                    "a __main__.py, or one .py file",
                    folder.string())};
  return files;
}

Result<UploadSource> source_of(std::vector<ArchiveFile> files) {
  PIE_TRY_ASSIGN(std::string archive, make_archive(std::move(files)));
  auto owner = std::make_shared<std::string>(std::move(archive));
  const auto* data = reinterpret_cast<const uint8_t*>(owner->data());
  return borrowed_source({data, owner->size()}, owner);
}

}  // namespace

Result<std::string> make_archive(std::vector<ArchiveFile> files) {
  if (files.size() > kFilesMax) return too_large("files", files.size(), kFilesMax);
  std::sort(files.begin(), files.end(), [](auto& a, auto& b) { return a.name < b.name; });
  std::string archive, directory;
  for (const ArchiveFile& file : files) {
    if (file.name.empty() || file.name.size() > UINT16_MAX || !is_utf8(file.name))
      return Error{
          ErrorCode::kInvalidArgument,
          fmt::format("[program] got the file name '{}', expected UTF-8 of at most {} bytes",
                      to_utf8(file.name), UINT16_MAX)};
    if (archive.size() + file.bytes.size() > kArchiveBytesMax)
      return too_large("bytes", archive.size() + file.bytes.size(), kArchiveBytesMax);
    Record entry;
    entry.u32(kCentralHeader).u16(kMadeByUnix | kVersion);
    add_common(entry, file).u16(0).u16(0).u16(0).u32(kMode).u32(archive.size());
    directory += entry.bytes() + file.name;
    Record header;
    add_common(header.u32(kLocalHeader), file);
    archive += header.bytes() + file.name + file.bytes;
  }
  Record end;
  end.u32(kEndOfDirectory).u16(0).u16(0).u16(files.size()).u16(files.size());
  end.u32(directory.size()).u32(archive.size()).u16(0);
  archive += directory + end.bytes();
  if (archive.size() > kArchiveBytesMax)
    return too_large("bytes", archive.size(), kArchiveBytesMax);
  return archive;
}

Result<UploadSource> program_source(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    PIE_TRY_ASSIGN(std::vector<ArchiveFile> files, files_below(path));
    return source_of(std::move(files));
  }
  if (path.extension() != ".py") return file_source(path.string());
  const uint64_t bytes = fs::file_size(path, ignored);
  if (!ignored && bytes > kArchiveBytesMax)
    return too_large("bytes of " + path.string(), bytes, kArchiveBytesMax);
  PIE_TRY_ASSIGN(std::string content, read_file(path));
  return source_of({{path.filename().string(), std::move(content)}});
}

bool is_program_path(const std::string& word) {
  std::error_code ignored;
  if (fs::is_directory(word, ignored))
    return word.starts_with('.') || word.starts_with('/') || word.ends_with('/') ||
           fs::is_regular_file(fs::path(word) / "__main__.py", ignored);
  for (const char* ending : {".wasm", ".py", ".zip"})
    if (word.ends_with(ending)) return true;
  return fs::is_regular_file(word, ignored);
}

}  // namespace pie::client
