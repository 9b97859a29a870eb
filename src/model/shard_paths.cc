#include "model/shard_paths.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <system_error>

namespace pie::model {

Result<std::vector<std::filesystem::path>> shard_paths(const std::filesystem::path& path,
                                                       uint32_t count) {
  const std::string name = path.filename().string();
  std::string prefix;
  for (uint32_t shard = 1; shard <= count && prefix.empty(); ++shard) {
    const std::string suffix = fmt::format("-{:05}-of-{:05}.gguf", shard, count);
    if (name.size() > suffix.size() && name.ends_with(suffix))
      prefix = name.substr(0, name.size() - suffix.size());
  }
  if (prefix.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[split.count] got {} in a file named '{}', expected the name "
                             "NAME-00001-of-{:05}.gguf of one of {} shards in one folder",
                             count, name, count, count)};
  }
  std::vector<std::filesystem::path> paths;
  std::vector<std::string> missing;
  for (uint32_t shard = 1; shard <= count; ++shard) {
    paths.push_back(path.parent_path() /
                    fmt::format("{}-{:05}-of-{:05}.gguf", prefix, shard, count));
    std::error_code failed;
    if (!std::filesystem::exists(paths.back(), failed))
      missing.push_back(paths.back().filename().string());
  }
  if (missing.empty()) return paths;
  constexpr size_t kNamed = 8;
  const size_t more = missing.size() > kNamed ? missing.size() - kNamed : 0;
  missing.resize(missing.size() - more);
  return Error{
      ErrorCode::kNotFound,
      fmt::format("[split.count] got {} of {} shards, expected also {}{} in {}: fetch what "
                  "is missing",
                  count - missing.size() - more, count, fmt::join(missing, ", "),
                  more == 0 ? "" : fmt::format(" and {} more", more),
                  path.has_parent_path() ? path.parent_path().string() : ".")};
}

}  // namespace pie::model
