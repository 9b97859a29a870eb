#include "engine/adapter_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/resource_type.h"

namespace pie::engine {
namespace {

constexpr std::string_view kKind = "adapter";

}  // namespace

Result<std::vector<uint32_t>> AdapterTable::map(std::string_view call,
                                                std::vector<model::AdapterRef> adapters) {
  if (adapters.size() > kPointersMax - mapped_)
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("[{}] got {} adapters on top of {} used, expected at most {} allowed "
                             "for this instance",
                             call, adapters.size(), mapped_, kPointersMax)};
  std::vector<uint32_t> pointers;
  uint32_t next = 0;
  for (model::AdapterRef& adapter : adapters) {
    while (is_mapped(next)) ++next;
    if (next == entries_.size()) entries_.emplace_back();
    entries_[next] = std::move(adapter);
    pointers.push_back(next);
  }
  mapped_ += static_cast<uint32_t>(pointers.size());
  return pointers;
}

Result<std::vector<model::AdapterRef>> AdapterTable::unmap(std::string_view call,
                                                           std::span<const uint32_t> pointers) {
  std::vector<bool> seen(entries_.size());
  for (const uint32_t pointer : pointers) {
    if (!is_mapped(pointer)) return unmapped_error(call, kKind, pointer);
    if (seen[pointer])
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[{}] got pointer {} twice, expected each once", call, pointer)};
    seen[pointer] = true;
  }
  std::vector<model::AdapterRef> released;
  for (const uint32_t pointer : pointers)
    released.push_back(*std::exchange(entries_[pointer], std::nullopt));
  mapped_ -= static_cast<uint32_t>(pointers.size());
  return released;
}

Result<std::vector<model::AdapterRef>> AdapterTable::find(
    std::string_view call, std::span<const uint32_t> pointers) const {
  std::vector<model::AdapterRef> adapters;
  // Some may be named twice; more than there can be are not looked at.
  if (pointers.size() > kPointersMax)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[{}] got {} adapter pointers, expected at most {}", call,
                             pointers.size(), kPointersMax)};
  for (const uint32_t pointer : pointers) {
    if (!is_mapped(pointer)) return unmapped_error(call, kKind, pointer);
    adapters.push_back(*entries_[pointer]);
  }
  return adapters;
}

Result<model::AdapterRef> AdapterTable::put(std::string_view call, uint32_t pointer,
                                            model::AdapterRef adapter) {
  if (!is_mapped(pointer)) return unmapped_error(call, kKind, pointer);
  return *std::exchange(entries_[pointer], std::move(adapter));
}

}  // namespace pie::engine
