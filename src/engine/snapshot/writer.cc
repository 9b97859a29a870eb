// Snapshot files on the disk thread.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "engine/disk_thread.h"
#include "engine/snapshot/store.h"

namespace pie::engine {
namespace {

/// What is read or written of a snapshot before other pages have their turn.
constexpr size_t kPieceBytes = size_t{16} << 20;

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

/// A snapshot on its way to the disk.
struct PageIo::Saving {
  std::shared_ptr<SnapshotWork> work;
  SnapshotStore& store;
  Done done;
  uint64_t bytes;  ///< admitted
  NewFile file;
  size_t next = 0;  ///< page of the header
};

uint32_t PageIo::pages_a_piece() const {
  return static_cast<uint32_t>(std::max<size_t>(1, kPieceBytes / buffer_.size()));
}

void PageIo::save(std::shared_ptr<SnapshotWork> work, SnapshotStore& store, Done done) {
  push({.call = [this, work = std::move(work), &store, done = std::move(done)] {
    saves_.push_back([this, work, &store, done] { begin_save(work, store, done); });
    if (saves_.size() == 1) saves_.front()();
  }});
}

/// One at a time: the last one of a name stays.
void PageIo::end_save(const Done& done, const Result<void>& result) {
  done(result);
  saves_.pop_front();
  if (!saves_.empty()) push({.call = [this] { saves_.front()(); }});
}

void PageIo::begin_save(const std::shared_ptr<SnapshotWork>& work, SnapshotStore& store,
                        const Done& done) {
  const SnapshotHeader& header = work->header;
  const uint64_t bytes = header.bytes();
  Result<void> begun = store.admit(header.user, header.name, bytes);
  if (!begun.ok()) return end_save(done, begun);
  const std::shared_ptr<Saving> saving(new Saving{work, store, done, bytes, NewFile(work->path)});
  const std::string head = snapshot_head(header);
  begun = saving->file.file < 0 ? disk_error("creating a file")
                                : write_all(saving->file.file, std::as_bytes(std::span(head)));
  if (begun.ok()) return go_on(saving);
  store.give_up(header.user, bytes);
  end_save(done, begun);
}

/// Writes a piece; the next one after what others wait for.
void PageIo::go_on(const std::shared_ptr<Saving>& saving) {
  const Result<bool> is_written = write_piece(*saving);
  if (is_written.ok() && !*is_written) return push({.call = [this, saving] { go_on(saving); }});
  const SnapshotHeader& header = saving->work->header;
  if (is_written.ok()) {
    saving->store.add(header);
    end_save(saving->done, {});
  } else {
    saving->store.give_up(header.user, saving->bytes);
    end_save(saving->done, is_written.error());
  }
}

/// Whether that was the last one. The hashes come before the pages in the file: the head is written
/// over once they are known.
Result<bool> PageIo::write_piece(Saving& saving) {
  SnapshotWork& work = *saving.work;
  const int file = saving.file.file;
  for (uint32_t count = 0; saving.next < work.pages.size(); ++saving.next) {
    std::optional<ContentHash>& hash = work.header.pages[saving.next];
    if (!hash) continue;
    if (count++ == pages_a_piece()) {
      if (fdatasync(file) != 0) return disk_error("fdatasync");  // not all of it in the end
      return false;
    }
    const PageSource& source = work.pages[saving.next];
    if (source.page) {
      executor_.read_page(*source.page, buffer_);
    } else {
      PIE_TRY(read(*source.disk));
    }
    hash = hash_content(buffer_);
    PIE_TRY(write_all(file, buffer_));
  }
  const std::string head = snapshot_head(work.header);
  if (lseek(file, 0, SEEK_SET) != 0) return disk_error("lseek");
  PIE_TRY(write_all(file, std::as_bytes(std::span(head))));
  PIE_TRY(saving.file.become(work.path));
  return true;
}

void PageIo::open(uint32_t number, const std::filesystem::path& path, const std::string& layout,
                  std::shared_ptr<SnapshotHeader> header, Done done) {
  push({.call = [this, number, path, layout, header = std::move(header), done = std::move(done)] {
    const Result<void> opened = open_file(number, path, layout, *header);
    if (opened.ok()) return check_pages(number, 0, done);
    close_file(number);
    done(opened);
  }});
}

/// Reads a piece of the pages; the next one after what others wait for.
void PageIo::check_pages(uint32_t number, uint32_t first, const Done& done) {
  const auto count = static_cast<uint32_t>(files_.at(number).hashes.size());
  const uint32_t end = std::min(count, first + pages_a_piece());
  for (uint32_t page = first; page < end; ++page) {
    const Result<void> is_whole = read({number, page});
    if (is_whole.ok()) continue;
    close_file(number);
    return done(is_whole);
  }
  if (end == count) return done({});
  push({.call = [this, number, end, done] { check_pages(number, end, done); }});
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
