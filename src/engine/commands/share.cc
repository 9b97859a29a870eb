// Names under which resources outlive the instance that made them (inferlet-host.md, section 2):
// what a name stands for is shared with it (export), and with who asks for it (import).
#include <fmt/format.h>

#include "engine/local_engine.h"

namespace pie::engine {
namespace {

constexpr size_t kNameBytesMax = 1024;

Error no_such_name(std::string_view call, const std::string& name) {
  return Error{ErrorCode::kNotFound,
               fmt::format("[{}] got the name '{}', expected one that this user has exported", call,
                           name.substr(0, 80))};
}

/// Slots come to refer to what others do when the queue gets there.
class ShareCommand final : public Command {
 public:
  ShareCommand(ResourceType type, sched::ShareShape shape)
      : type_(type), shape_(std::move(shape)) {}

  void begin(LoopState& loop) override {
    if (type_ == ResourceType::kKvPage) return loop.scheduler.push_share(queue, id, shape_);
    // Of embeddings the scheduler knows the order alone.
    loop.embeddings.pin(shape_.from);
    loop.embeddings.pin(shape_.to);
    loop.scheduler.push_share(queue, id, {shape_.owner, {}, {}, shape_.makes, shape_.needs});
  }
  Completion complete(LoopState& loop) override {
    loop.engine.retire(instance);
    for (size_t i = 0; type_ == ResourceType::kEmbedding && i < shape_.to.size(); ++i)
      loop.embeddings.copy(shape_.from[i], shape_.to[i]);
    loop.unpin(type_, shape_.from);
    loop.unpin(type_, shape_.to);
    return Completion::kDone;
  }
  /// What it makes is there all the same: others may wait for it.
  void cancel(LoopState& loop, Cancelled why) override {
    if (why == Cancelled::kInstanceClosed) complete(loop);
  }

 private:
  const ResourceType type_;
  const sched::ShareShape shape_;
};

}  // namespace

/// Posts an admitted export or import, whose slots it pins until it is done.
void LocalEngine::post_share(const Caller& who, ResourceType type, sched::ShareShape shape) {
  slots_of(type).pin(shape.from);
  slots_of(type).pin(shape.to);
  post_command(who, std::make_unique<ShareCommand>(type, std::move(shape)));
}

Result<void> LocalEngine::export_resources(QueueId queue, uint32_t resource_type,
                                           std::span<const uint32_t> pointers,
                                           const std::string& name) {
  constexpr std::string_view kCall = "export-resources";
  PIE_TRY_ASSIGN(const ResourceType type, parse_resource_type(kCall, resource_type));
  if (name.empty() || name.size() > kNameBytesMax)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[{}] got a name of {} bytes, expected 1 to {}", kCall, name.size(),
                             kNameBytesMax)};
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Caller who, caller(kCall, queue));
  const ExportTable::Key key{who.instance->user, type, name};
  PIE_TRY(exports_.check_free(kCall, key));
  if (type == ResourceType::kAdapter) {
    PIE_TRY_ASSIGN(auto adapters, who.instance->adapters.find(kCall, pointers));
    PIE_TRY(exports_.admit(kCall, key, pointers.size()));
    exports_.add(key, std::move(adapters));
    return {};
  }
  PIE_TRY_ASSIGN(std::vector<kv::SlotId> from, find_slots(kCall, *who.instance, type, pointers));
  PIE_TRY(exports_.admit(kCall, key, pointers.size()));
  PIE_TRY(admit_command(kCall, who));
  PIE_TRY(admit_slots(kCall, *who.instance, type, pointers.size(), SlotHolder::kName));
  const ExportTable::Export& made =
      exports_.add(key, take_copies(*who.instance, type, from.size()));
  post_share(who, type, {kv::kExports, std::move(from), made.slots, made.number, 0});
  return {};
}

Result<std::vector<uint32_t>> LocalEngine::import_resources(QueueId queue, uint32_t resource_type,
                                                            const std::string& name) {
  constexpr std::string_view kCall = "import-resources";
  PIE_TRY_ASSIGN(const ResourceType type, parse_resource_type(kCall, resource_type));
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Caller who, caller(kCall, queue));
  const ExportTable::Export* found = exports_.find({who.instance->user, type, name});
  if (found == nullptr) return no_such_name(kCall, name);
  if (type == ResourceType::kAdapter) return who.instance->adapters.map(kCall, found->adapters);
  PIE_TRY(admit_command(kCall, who));
  PIE_TRY(admit_slots(kCall, *who.instance, type, found->slots.size(), SlotHolder::kInstance));
  Mapped mapped = map_slots(*who.instance, type, found->slots.size());
  post_share(who, type, {who.id, found->slots, std::move(mapped.slots), 0, found->number});
  return std::move(mapped.pointers);
}

Result<void> LocalEngine::release_exported(QueueId queue, uint32_t resource_type,
                                           const std::string& name) {
  constexpr std::string_view kCall = "release-exported-resources";
  PIE_TRY_ASSIGN(const ResourceType type, parse_resource_type(kCall, resource_type));
  std::optional<ExportTable::Export> removed;  // its adapters go after the lock is released
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Caller who, caller(kCall, queue));
  removed = exports_.remove({who.instance->user, type, name});
  if (!removed) return no_such_name(kCall, name);
  if (type == ResourceType::kAdapter) return {};
  for (const kv::SlotId slot : removed->slots) static_cast<void>(slots_of(type).release(slot));
  post_release(type, std::move(removed->slots));
  return {};
}

Result<std::vector<ExportedName>> LocalEngine::exported(QueueId queue, uint32_t resource_type) {
  constexpr std::string_view kCall = "get-all-exported-resources";
  PIE_TRY_ASSIGN(const ResourceType type, parse_resource_type(kCall, resource_type));
  const std::lock_guard lock(mutex_);
  PIE_TRY_ASSIGN(const Caller who, caller(kCall, queue));
  return exports_.list(who.instance->user, type);
}

}  // namespace pie::engine
