#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/result.h"

namespace pie::model {

/// The files of a model that is split into `count` shards, in order, of which `path` is one:
/// NAME-00001-of-0000N.gguf to NAME-0000N-of-0000N.gguf, in one folder.
/// kInvalidArgument when `path` is not named so; kNotFound lists the shards that are not there.
Result<std::vector<std::filesystem::path>> shard_paths(const std::filesystem::path& path,
                                                       uint32_t count);

}  // namespace pie::model
