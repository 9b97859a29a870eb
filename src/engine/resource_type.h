#pragma once
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace pie::engine {

/// Resource types of the ABI (inferlet-host.md, section 2).
enum class ResourceType : uint32_t { kKvPage = 0, kEmbedding = 1, kAdapter = 2 };

/// The resource type, or kInvalidArgument.
Result<ResourceType> parse_resource_type(std::string_view call, uint32_t resource_type);

/// What is said of a pointer that stands for nothing.
Error unmapped_error(std::string_view call, std::string_view kind, uint32_t pointer);

}  // namespace pie::engine
