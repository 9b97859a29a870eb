// Keeping a context on disk: from the program's call to the file.
#include <fmt/format.h>

#include <chrono>

#include "engine/local_engine.h"
#include "engine/snapshot/store.h"
#include "engine/snapshot/writer.h"

namespace pie::engine {
namespace {

constexpr std::string_view kCall = "snapshot";
constexpr size_t kNameBytesMax = 1024;
constexpr size_t kTokensMax = 1 << 20;

Result<void> check_request(const SnapshotRequest& request, uint32_t page_size) {
  const auto invalid = [](std::string message) {
    return Error{ErrorCode::kInvalidArgument, std::move(message)};
  };
  if (request.name.empty() || request.name.size() > kNameBytesMax)
    return invalid(fmt::format("[snapshot] got a name of {} bytes, expected 1 to {}",
                               request.name.size(), kNameBytesMax));
  if (request.pages.empty() || request.last_page_len == 0 || request.last_page_len > page_size)
    return invalid(
        fmt::format("[snapshot] got {} pages with {} tokens in the last one, expected "
                    "at least one page and 1 to {} tokens",
                    request.pages.size(), request.last_page_len, page_size));
  if (request.tokens.size() > kTokensMax)
    return invalid(fmt::format("[snapshot] got {} tokens, expected at most {}",
                               request.tokens.size(), kTokensMax));
  return {};
}

uint64_t now_s() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

Error lost_page_error() {
  return {ErrorCode::kCorrupt, "[snapshot] got a KV page that the disk has lost"};
}

/// Everything before it in its queue is to be on the disk. What is to be written is held until it
/// is.
class SaveCommand final : public Command {
 public:
  SaveCommand(std::vector<kv::SlotId> slots, const std::string& user, SnapshotRequest request,
              SnapshotSaved done)
      : slots_(std::move(slots)), done_(std::move(done)), ttl_s_(request.ttl_s) {
    SnapshotHeader& header = work_->header;
    header.user = user;
    header.name = std::move(request.name);
    header.is_pinned = request.is_pinned;
    header.last_page_len = request.last_page_len;
    header.tokens = std::move(request.tokens);
  }

  void begin(LoopState& loop) override { loop.scheduler.push_marker(queue, id); }

  Completion complete(LoopState& loop) override {
    loop.engine.retire(instance);
    const std::vector<kv::FrameId> bound = describe(loop);
    loop.pages.use(used_);
    if (loop.pages.any_lost(bound)) {
      finish(loop, lost_page_error());
      return Completion::kDone;
    }
    work_->path = loop.snapshots.store->path(work_->header.user, work_->header.name);
    loop.snapshots.writer->save(
        work_, [id = id, &inbox = loop.engine.inbox()](const Result<void>& written) {
          inbox.post([id, written](LoopState& after) {
            const auto ended = after.end(id);
            static_cast<SaveCommand&>(*ended).finish(after, written);
          });
        });
    return Completion::kUnderWay;
  }

  void cancel(LoopState& loop, Cancelled why) override {
    for (const kv::SlotId slot : slots_) loop.pages.release(slot);
    done_(cancelled_error(kCall, why));
  }

 private:
  /// Fills in what is to be written, and used_. Returns the frames of all pages that there are.
  std::vector<kv::FrameId> describe(const LoopState& loop) {
    SnapshotHeader& header = work_->header;
    header.layout = loop.snapshots.layout;
    header.created_s = now_s();
    header.expires_s = ttl_s_ == 0 ? 0 : header.created_s + ttl_s_;
    header.page_bytes = loop.executor.page_bytes();
    std::vector<kv::FrameId> bound;
    for (const kv::SlotId slot : slots_) {
      PageSource& source = work_->pages.emplace_back();
      const auto frame = loop.pages.frame(slot);
      header.pages.push_back(frame ? std::optional(ContentHash{}) : std::nullopt);
      if (!frame) continue;
      source.page = loop.pages.frame_table()[*frame].page;
      source.disk = loop.pages.frame_table()[*frame].disk;
      bound.push_back(*frame);
      if (source.page) used_.push_back(*frame);
    }
    return bound;
  }

  void finish(LoopState& loop, Result<void> result) {
    if (result.ok() && loop.pages.any_lost(used_)) {
      static_cast<void>(loop.snapshots.store->remove(work_->header.user, work_->header.name));
      loop.engine.sweep_snapshots();
      result = lost_page_error();
    }
    loop.pages.unuse(used_);
    for (const kv::SlotId slot : slots_) loop.pages.release(slot);
    loop.publish();
    done_(std::move(result));
  }

  const std::vector<kv::SlotId> slots_;  // nobody else's
  const SnapshotSaved done_;
  const uint64_t ttl_s_;
  const std::shared_ptr<SnapshotWork> work_ = std::make_shared<SnapshotWork>();
  std::vector<kv::FrameId> used_;  // that are in the pool
};

}  // namespace

Result<void> LocalEngine::save_snapshot(QueueId queue, SnapshotRequest request,
                                        SnapshotSaved done) {
  constexpr ResourceType kPages = ResourceType::kKvPage;
  PIE_TRY(check_snapshots_served());
  PIE_TRY(check_request(request, limits_.page_size));
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Caller who, caller(kCall, queue));
  PIE_TRY_ASSIGN(std::vector<kv::SlotId> from,
                 find_slots(kCall, *who.instance, kPages, request.pages));
  PIE_TRY(admit_command(kCall, who));
  PIE_TRY(admit_slots(kCall, *who.instance, kPages, from.size(), SlotHolder::kName));
  std::vector<kv::SlotId> slots = take_copies(*who.instance, kPages, from.size());
  post_share(who, kPages, {kv::kExports, std::move(from), slots, 0, 0});
  post_command(who, std::make_unique<SaveCommand>(std::move(slots), who.instance->user,
                                                  std::move(request), std::move(done)));
  return {};
}

}  // namespace pie::engine
