#include "engine/resource_type.h"

#include <fmt/format.h>

namespace pie::engine {
namespace {

Error invalid(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

}  // namespace

Error unmapped_error(std::string_view call, std::string_view kind, uint32_t pointer) {
  return invalid(
      fmt::format("[{}] got {} pointer {}, expected one that this instance has allocated", call,
                  kind, pointer));
}

Result<ResourceType> parse_resource_type(std::string_view call, uint32_t resource_type) {
  switch (resource_type) {
    case static_cast<uint32_t>(ResourceType::kKvPage): return ResourceType::kKvPage;
    case static_cast<uint32_t>(ResourceType::kEmbedding): return ResourceType::kEmbedding;
    case static_cast<uint32_t>(ResourceType::kAdapter): return ResourceType::kAdapter;
    default:
      return invalid(
          fmt::format("[{}] got resource type {}, expected 0 (KV page), 1 (embedding "
                      "slot) or 2 (adapter)",
                      call, resource_type));
  }
}

}  // namespace pie::engine
