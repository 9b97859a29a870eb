#pragma once
#include <filesystem>
#include <set>

namespace pie::store {

/// Removes the files of `folder` that are not `known`: what a crash left behind.
void remove_others(const std::filesystem::path& folder,
                   const std::set<std::filesystem::path>& known);

}  // namespace pie::store
