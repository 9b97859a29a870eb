#include "engine/snapshot/writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "engine/snapshot/store.h"

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

/// A snapshot on its way to the disk.
struct SnapshotWriter::Saving {
  std::shared_ptr<SnapshotWork> work;
  Done done;
  uint64_t bytes;  ///< admitted
  NewFile file;
  size_t next = 0;  ///< page of the header
};

void SnapshotWriter::save(std::shared_ptr<SnapshotWork> work, Done done) {
  disk_.run([this, work = std::move(work), done = std::move(done)] {
    waiting_.push_back([this, work, done] { begin(work, done); });
    if (waiting_.size() == 1) waiting_.front()();
  });
}

void SnapshotWriter::end(const Done& done, const Result<void>& result) {
  done(result);
  waiting_.pop_front();
  if (!waiting_.empty()) disk_.run([this] { waiting_.front()(); });
}

void SnapshotWriter::begin(const std::shared_ptr<SnapshotWork>& work, const Done& done) {
  const SnapshotHeader& header = work->header;
  const uint64_t bytes = header.bytes();
  Result<void> begun = store_.admit(header.user, header.name, bytes);
  if (!begun.ok()) return end(done, begun);
  const std::shared_ptr<Saving> saving(new Saving{work, done, bytes, NewFile(work->path)});
  const std::string head = snapshot_head(header);
  begun = saving->file.file < 0 ? disk_error("creating a file")
                                : write_all(saving->file.file, std::as_bytes(std::span(head)));
  if (begun.ok()) return go_on(saving);
  store_.give_up(header.user, bytes);
  end(done, begun);
}

/// Writes a piece; the next one after what others wait for.
void SnapshotWriter::go_on(const std::shared_ptr<Saving>& saving) {
  const Result<bool> is_written = write_piece(*saving);
  if (is_written.ok() && !*is_written) return disk_.run([this, saving] { go_on(saving); });
  const SnapshotHeader& header = saving->work->header;
  if (is_written.ok()) {
    store_.add(header);
    return end(saving->done, {});
  }
  store_.give_up(header.user, saving->bytes);
  end(saving->done, is_written.error());
}

/// Whether that was the last one. The hashes come before the pages in the file: the head is written
/// over once they are known.
Result<bool> SnapshotWriter::write_piece(Saving& saving) {
  SnapshotWork& work = *saving.work;
  const int file = saving.file.file;
  const size_t piece = std::max<size_t>(1, kSnapshotPieceBytes / disk_.page_bytes());
  for (size_t count = 0; saving.next < work.pages.size(); ++saving.next) {
    std::optional<ContentHash>& hash = work.header.pages[saving.next];
    if (!hash) continue;
    if (count++ == piece) {
      if (fdatasync(file) != 0) return disk_error("fdatasync");  // not all of it in the end
      return false;
    }
    PIE_TRY_ASSIGN(const std::span<const std::byte> bytes, disk_.read(work.pages[saving.next]));
    hash = hash_content(bytes);
    PIE_TRY(write_all(file, bytes));
  }
  const std::string head = snapshot_head(work.header);
  if (lseek(file, 0, SEEK_SET) != 0) return disk_error("lseek");
  PIE_TRY(write_all(file, std::as_bytes(std::span(head))));
  PIE_TRY(saving.file.become(work.path));
  return true;
}

}  // namespace pie::engine
