// Snapshots on the engine thread: what is to be written is held until it is; what is loaded comes
// to the pool page by page, when it is asked for.
#include <chrono>

#include "engine/snapshot/store.h"
#include "engine/step_loop.h"

namespace pie::engine {
namespace {

uint64_t now_s() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

Error lost_page_error() {
  return {ErrorCode::kCorrupt, "[snapshot] got a KV page that the disk has lost"};
}

}  // namespace

void StepLoop::handle(SaveSnapshot& message) {
  scheduler_.push_marker(message.queue, message.id);
  saves_.emplace(message.id, std::move(message));
}

/// Everything before it in its queue is done.
void StepLoop::save(SaveSnapshot message) {
  front_.retire(message.instance, 1);
  auto work = std::make_shared<SnapshotWork>();
  SnapshotHeader& header = work->header;
  header.layout = layout_;
  header.user = message.user;
  header.name = message.request.name;
  header.created_s = now_s();
  header.expires_s = message.request.ttl_s == 0 ? 0 : header.created_s + message.request.ttl_s;
  header.is_pinned = message.request.is_pinned;
  header.last_page_len = message.request.last_page_len;
  header.tokens = std::move(message.request.tokens);
  header.page_bytes = executor_->page_bytes();
  std::vector<kv::FrameId> bound;
  std::vector<kv::FrameId> used;
  for (const kv::SlotId slot : message.slots) {
    PageSource& source = work->pages.emplace_back();
    const auto frame = pages_.frame(slot);
    header.pages.push_back(frame ? std::optional(ContentHash{}) : std::nullopt);
    if (!frame) continue;
    source.page = pages_.frame_table()[*frame].page;
    source.disk = pages_.frame_table()[*frame].disk;
    bound.push_back(*frame);
    if (source.page) used.push_back(*frame);
  }
  pages_.use(used);
  // What ends it, on this thread.
  const auto end = [this, work, used, slots = std::move(message.slots),
                    done = std::move(message.done)](Result<void> result) {
    if (result.ok() && pages_.any_lost(used)) {
      static_cast<void>(snapshots_->remove(work->header.user, work->header.name));
      result = lost_page_error();
    }
    pages_.unuse(used);
    for (const kv::SlotId slot : slots) pages_.release(slot);
    settle();
    done(std::move(result));
  };
  if (pages_.any_lost(bound)) return end(lost_page_error());
  work->path = snapshots_->path(header.user, header.name);
  io_->save(work, *snapshots_, [this, end](const Result<void>& written) {
    front_.notify([end, written] { end(written); });
  });
}

void StepLoop::drop_save(sched::CommandId command) {
  SaveSnapshot message = std::move(saves_.extract(command).mapped());
  for (const kv::SlotId slot : message.slots) pages_.release(slot);
  message.done(Error{ErrorCode::kCancelled, "[snapshot] got an instance that was closed"});
}

void StepLoop::handle(LoadSnapshot& message) {
  const uint32_t file = ++last_file_;
  auto header = std::make_shared<SnapshotHeader>();
  io_->open(file, message.path, layout_, header,
            [this, header, file, instance = message.instance,
             done = std::move(message.done)](const Result<void>& opened) {
              front_.notify([this, header, file, instance, opened, done] {
                front_.retire(instance, 1);
                if (!opened.ok()) return done(opened.error());
                done(attach(*header, file, instance));
              });
            });
}

Result<LoadedSnapshot> StepLoop::attach(const SnapshotHeader& header, uint32_t file,
                                        InstanceId instance) {
  Result<Front::Mapped> mapped = front_.map_snapshot(instance, header.pages.size());
  if (!mapped.ok()) {
    io_->close(file);
    return mapped.error();
  }
  uint32_t stored = 0;
  for (size_t i = 0; i < header.pages.size(); ++i) {
    if (header.pages[i]) pages_.attach_disk_page(instance, mapped->slots[i], {file, stored++});
  }
  files_[file] = stored;
  if (stored == 0) io_->close(file);
  return LoadedSnapshot{std::move(mapped->pointers), header.last_page_len, header.tokens};
}

/// Files of which nobody refers to a page any more are closed.
void StepLoop::close_files() {
  for (const kv::DiskPage& page : pages_.take_released()) {
    const auto file = files_.find(page.file);
    if (file == files_.end() || --file->second > 0) continue;
    io_->close(page.file);
    files_.erase(file);
  }
}

}  // namespace pie::engine
