#include "pie/snapshot.h"

#include <cstdlib>

#include "pie/context.h"
#include "pie/lift.h"

namespace inferlet {

Result<std::vector<SnapshotEntry>> list_snapshots(const Queue& queue) {
  abi::SnapshotListResult out;
  abi::snapshot_all(queue.handle(), &out);
  if (out.is_error != 0) return fail(lift::text(out.of.error));
  std::vector<SnapshotEntry> entries;
  for (uint32_t i = 0; i < out.of.entries.size; ++i) {
    const abi::SnapshotEntry& one = out.of.entries.data[i];
    entries.push_back({lift::text(one.name), one.pages, one.tokens, one.bytes,
                       std::chrono::seconds(one.seconds_left), one.pinned != 0});
  }
  if (out.of.entries.size != 0) std::free(out.of.entries.data);
  return entries;
}

Result<void> remove_snapshot(const Queue& queue, std::string_view name) {
  abi::TextResult out;
  abi::snapshot_remove(queue.handle(), name.data(), lift::size(name), &out);
  if (out.is_error != 0) return fail(lift::text(out.text));
  return {};
}

Result<void> Context::save(std::string_view name, const SnapshotOptions& options) {
  if (auto flushed = flush(); !flushed) return flushed;
  if (auto whole = check_whole("snapshot", 0); !whole) return whole;
  const std::vector<uint32_t> saved = tokens();
  const size_t last = slots_.size() - (pages_.size() - 1) * shared_->pages->page_size();
  abi::TextResult out;
  abi::snapshot_save(queue().handle(), name.data(), lift::size(name), page_numbers_.data(),
                     static_cast<uint32_t>(page_numbers_.size()), static_cast<uint32_t>(last),
                     saved.data(), static_cast<uint32_t>(saved.size()),
                     static_cast<uint64_t>(options.ttl.count()), options.pinned ? 1 : 0, &out);
  if (out.is_error != 0) return fail(lift::text(out.text));
  return {};
}

Result<Context> Context::load(std::string_view name) {
  Result<Context> context = create();
  if (!context) return context;
  const std::shared_ptr<KvPages> pool = context->shared_->pages;
  abi::SnapshotLoadResult out;
  abi::snapshot_load(pool->queue().handle(), name.data(), lift::size(name), &out);
  if (out.is_error != 0) return fail(lift::text(out.of.error));
  const std::vector<uint32_t> numbers = lift::numbers(out.of.loaded.pages);
  const std::vector<uint32_t> tokens = lift::numbers(out.of.loaded.tokens);
  context->adopt(numbers, tokens);
  const size_t held = (numbers.size() - 1) * pool->page_size() + out.of.loaded.last_page_len;
  if (tokens.size() != held)
    return fail("[snapshot] got a snapshot without its tokens, expected one of Context::save");
  return context;
}

}  // namespace inferlet
