#include "base/control_groups.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

namespace pie {
namespace {

namespace fs = std::filesystem;

bool lists(std::string_view names, std::string_view name) {
  for (size_t at = 0; at <= names.size();) {
    const size_t end = std::min(names.find(',', at), names.size());
    if (names.substr(at, end - at) == name) return true;
    at = end + 1;
  }
  return false;
}

/// The process's path in the hierarchy of version 2, or in the controller's of version 1.
std::optional<std::string> path_of(const fs::path& root, std::string_view controller, bool is_v2) {
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // number:controllers:path
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string_view names = std::string_view(line).substr(first + 1, second - first - 1);
    if (is_v2 ? names.empty() : lists(names, controller)) return line.substr(second + 1);
  }
  return std::nullopt;
}

struct Mount {
  std::string top;  ///< the path in the hierarchy that is seen at `folder`
  std::string folder;
};

std::optional<Mount> mount_of(const fs::path& root, std::string_view controller, bool is_v2) {
  std::ifstream file(root / "proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {  // proc_pid_mountinfo(5)
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream before(line.substr(0, dash)), after(line.substr(dash + 3));
    std::string number, parent, device, type, source, options;
    Mount mount;
    before >> number >> parent >> device >> mount.top >> mount.folder;
    after >> type >> source >> options;
    if (is_v2 ? type == "cgroup2" : type == "cgroup" && lists(options, controller)) return mount;
  }
  return std::nullopt;
}

}  // namespace

std::vector<ControlGroup> control_groups(const fs::path& root, std::string_view controller) {
  std::vector<ControlGroup> groups;
  for (const bool is_v2 : {true, false}) {
    const auto mount = mount_of(root, controller, is_v2);
    const auto path = path_of(root, controller, is_v2);
    if (!mount || !path) continue;
    const fs::path top = root / fs::path(mount->folder).relative_path();
    // In a container the path may be the host's: what lies above the mount's top cannot be seen.
    const fs::path inner = fs::path(*path).lexically_relative(mount->top);
    const bool is_seen = !inner.empty() && *inner.begin() != ".." && inner != ".";
    std::error_code failed;
    for (fs::path at = is_seen ? inner : fs::path(); !at.empty(); at = at.parent_path()) {
      if (fs::is_directory(top / at, failed)) groups.push_back({top / at, is_v2});
    }
    groups.push_back({top, is_v2});
  }
  return groups;
}

}  // namespace pie
