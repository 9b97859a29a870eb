#pragma once
#include <filesystem>
#include <string_view>
#include <vector>

namespace pie {

/// A folder of the control group hierarchy that the process is in, or of one above it.
struct ControlGroup {
  std::filesystem::path folder;
  bool is_v2 = false;
};

/// The groups that hold this process for a controller ("memory", "cpu"), the innermost first, as
/// far as they are mounted under `root` (cgroups(7): /proc/self/cgroup, /proc/self/mountinfo).
std::vector<ControlGroup> control_groups(const std::filesystem::path& root,
                                         std::string_view controller);

}  // namespace pie
