// Snapshot files on the disk thread.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "engine/page_io.h"

namespace pie::engine {
namespace {

Error disk_error(std::string_view what) {
  return {
      ErrorCode::kResourceExhausted,
      fmt::format("[snapshot] got '{}' from {}, expected room on the disk", strerror(errno), what)};
}

Result<void> write_all(int file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return disk_error("write");
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

/// A file that is gone unless it got its name.
struct NewFile {
  explicit NewFile(const std::filesystem::path& path)
      : name(path.string() + ".new"),
        file(::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {}
  NewFile(const NewFile&) = delete;
  ~NewFile() {
    if (file >= 0) ::close(file);
    std::error_code ignored;
    std::filesystem::remove(name, ignored);
  }
  /// After everything is on the disk; the folder's entry as well.
  Result<void> become(const std::filesystem::path& path) const {
    if (fsync(file) != 0) return disk_error("fsync");
    if (rename(name.c_str(), path.c_str()) != 0) return disk_error("rename");
    const int folder = ::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool is_synced = folder >= 0 && fsync(folder) == 0;
    if (folder >= 0) ::close(folder);
    if (!is_synced) return disk_error("fsync of the folder");
    return {};
  }

  const std::string name;
  const int file;
};

}  // namespace

void PageIo::save(std::shared_ptr<SnapshotWork> work, Done done) {
  push({.call = [this, work = std::move(work), done = std::move(done)] { done(write(*work)); }});
}

/// The hashes come before the pages in the file: the head is written over once they are known.
Result<void> PageIo::write(SnapshotWork& work) {
  const NewFile made(work.path);
  if (made.file < 0) return disk_error("creating a file");
  std::string head = snapshot_head(work.header);
  PIE_TRY(write_all(made.file, std::as_bytes(std::span(head))));
  for (size_t i = 0; i < work.pages.size(); ++i) {
    std::optional<ContentHash>& hash = work.header.pages[i];
    if (!hash) continue;
    const PageSource& source = work.pages[i];
    if (source.page) {
      executor_.read_page(*source.page, buffer_);
    } else {
      PIE_TRY(read(*source.disk));
    }
    hash = hash_content(buffer_);
    PIE_TRY(write_all(made.file, buffer_));
  }
  head = snapshot_head(work.header);
  if (lseek(made.file, 0, SEEK_SET) != 0) return disk_error("lseek");
  PIE_TRY(write_all(made.file, std::as_bytes(std::span(head))));
  return made.become(work.path);
}

void PageIo::open(uint32_t number, const std::filesystem::path& path, const std::string& layout,
                  std::shared_ptr<SnapshotHeader> header, Done done) {
  push({.call = [this, number, path, layout, header = std::move(header), done = std::move(done)] {
    const Result<void> opened = open_file(number, path, layout, *header);
    if (!opened.ok()) close_file(number);
    done(opened);
  }});
}

Result<void> PageIo::open_file(uint32_t number, const std::filesystem::path& path,
                               const std::string& layout, SnapshotHeader& header) {
  PIE_TRY_ASSIGN(SnapshotOpened opened, open_snapshot(path));
  OpenFile& file = files_[number];
  file = {opened.file, opened.first_page, {}};
  if (opened.header.layout != layout || opened.header.page_bytes != buffer_.size())
    return Error{ErrorCode::kFailedPrecondition,
                 fmt::format("[snapshot] got pages of '{}', expected '{}': it was saved with "
                             "another model, executor or page size",
                             opened.header.layout, layout)};
  for (const auto& hash : opened.header.pages) {
    if (hash) file.hashes.push_back(*hash);
  }
  for (uint32_t page = 0; page < file.hashes.size(); ++page) PIE_TRY(read({number, page}));
  header = std::move(opened.header);
  return {};
}

void PageIo::close(uint32_t number) {
  push({.call = [this, number] { close_file(number); }});
}

void PageIo::close_file(uint32_t number) {
  const auto file = files_.find(number);
  if (file == files_.end()) return;
  ::close(file->second.file);
  files_.erase(file);
}

/// Into the buffer.
Result<void> PageIo::read(const kv::DiskPage& disk) {
  if (disk.file == 0) return swap_->read(disk.page, buffer_);
  const OpenFile& file = files_.at(disk.file);
  uint64_t at = file.first_page + disk.page * buffer_.size();
  for (std::span<std::byte> rest = buffer_; !rest.empty();) {
    const ssize_t count = pread(file.file, rest.data(), rest.size(), static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return disk_error("pread");
    rest = rest.subspan(static_cast<size_t>(count));
    at += static_cast<uint64_t>(count);
  }
  if (hash_content(buffer_) == file.hashes.at(disk.page)) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("[snapshot] got other bytes for page {} than were written: the file is "
                           "damaged; delete it",
                           disk.page)};
}

}  // namespace pie::engine
