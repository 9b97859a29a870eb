// Loading a context from the disk: its file is read and checked there, its pages come to the pool
// one by one, when a pass asks for them.
#include "engine/disk_thread.h"
#include "engine/local_engine.h"
#include "engine/snapshot/reader.h"
#include "engine/snapshot/store.h"

namespace pie::engine {
namespace {

constexpr std::string_view kCall = "snapshot";

class LoadCommand final : public Command {
 public:
  LoadCommand(std::filesystem::path path, SnapshotLoaded done)
      : path_(std::move(path)), done_(std::move(done)) {}

  void begin(LoopState& loop) override {
    auto reading = std::make_shared<SnapshotReading>();
    reading->path = path_;
    reading->layout = loop.snapshots.layout;
    reading->number = ++loop.snapshots.last_file;
    reading->done = [id = id, reading = reading.get(),
                     &inbox = loop.engine.inbox()](const Result<void>& opened) {
      inbox.post([id, opened, number = reading->number,
                  header = std::move(reading->header)](LoopState& after) {
        const auto ended = after.end(id);
        static_cast<LoadCommand&>(*ended).finish(after, opened, header, number);
      });
    };
    read_snapshot(*loop.disk, std::move(reading));
  }
  Completion complete(LoopState&) override { return Completion::kUnderWay; }  // it has no turn
  void cancel(LoopState&, Cancelled why) override { done_(cancelled_error(kCall, why)); }

 private:
  void finish(LoopState& loop, const Result<void>& opened, const SnapshotHeader& header,
              uint32_t number) {
    loop.engine.retire(instance);
    if (!opened.ok()) return done_(opened.error());
    done_(attach(loop, header, number));
  }

  Result<LoadedSnapshot> attach(LoopState& loop, const SnapshotHeader& header, uint32_t number) {
    Result<LocalEngine::Mapped> mapped = loop.engine.map_snapshot(instance, header.pages.size());
    if (!mapped.ok()) {
      loop.disk->close(number);
      return mapped.error();
    }
    uint32_t stored = 0;
    for (size_t i = 0; i < header.pages.size(); ++i) {
      if (!header.pages[i]) continue;
      loop.pages.attach_disk_page(instance, mapped->slots[i], {number, stored++});
    }
    if (stored == 0) {
      loop.disk->close(number);
    } else {
      loop.snapshots.open_files[number] = stored;
    }
    return LoadedSnapshot{std::move(mapped->pointers), header.last_page_len, header.tokens};
  }

  const std::filesystem::path path_;
  const SnapshotLoaded done_;
};

}  // namespace

Result<void> LocalEngine::load_snapshot(QueueId queue, const std::string& name,
                                        SnapshotLoaded done) {
  PIE_TRY_ASSIGN(const std::string user, snapshot_user(queue));
  const Result<SnapshotInfo> found = snapshots_->find(user, name);
  sweep_snapshots();
  PIE_TRY(found);
  auto command = std::make_unique<LoadCommand>(snapshots_->path(user, name), std::move(done));
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Caller who, caller(kCall, queue));
  PIE_TRY(admit_command(kCall, who));
  post_command(who, std::move(command));
  return {};
}

Result<LocalEngine::Mapped> LocalEngine::map_snapshot(InstanceId id, uint64_t count) {
  const std::lock_guard lock(mutex_);
  const auto at = instances_.find(id);
  if (at == instances_.end())
    return Error{ErrorCode::kCancelled, "[snapshot] got an instance that was closed"};
  PIE_TRY(admit_slots(kCall, at->second, ResourceType::kKvPage, count, SlotHolder::kInstance));
  Mapped mapped = map_slots(at->second, ResourceType::kKvPage, count);
  // The step loop knows them from now on.
  page_slots_.pin(mapped.slots);
  page_slots_.unpin(mapped.slots);
  return mapped;
}

}  // namespace pie::engine
