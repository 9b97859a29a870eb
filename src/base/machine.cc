#include "base/machine.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <vector>

#include "base/control_groups.h"

namespace pie {
namespace {

namespace fs = std::filesystem;

std::optional<uint64_t> number_of(std::string_view text) {
  uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failed == std::errc() && end != text.data() ? std::optional(value) : std::nullopt;
}

/// The file's first word; empty when there is none.
std::string first_word(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

/// The number in the file; none for "max" and the like.
std::optional<uint64_t> number_in(const fs::path& path) { return number_of(first_word(path)); }

/// The number behind a key at the begin of a line ("MemTotal: 1 kB"); 0 when it is not there.
uint64_t value_of(const fs::path& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t at = line.find_first_of("0123456789", key.size());
    return at == std::string::npos ? 0 : number_of(std::string_view(line).substr(at)).value_or(0);
  }
  return 0;
}

uint64_t less(uint64_t value, uint64_t used) { return value - std::min(value, used); }

void limit_memory(Machine& machine, uint64_t limit, uint64_t used, const std::string& what) {
  machine.memory.limit(limit, what);
  machine.memory_free.limit(less(limit, used), what);
}

/// Bytes that the group holds and that the kernel cannot drop at once.
uint64_t used_by(const ControlGroup& group) {
  const fs::path usage = group.folder / (group.is_v2 ? "memory.current" : "memory.usage_in_bytes");
  const fs::path stat = group.folder / "memory.stat";
  const std::string prefix = group.is_v2 ? "" : "total_";
  const uint64_t files =
      value_of(stat, prefix + "inactive_file ") + value_of(stat, prefix + "active_file ");
  return less(number_in(usage).value_or(0), files);
}

void limit_by_groups(Machine& machine, const fs::path& root) {
  for (const ControlGroup& group : control_groups(root, "memory")) {
    const std::vector<const char*> names = group.is_v2 ? std::vector{"memory.max", "memory.high"}
                                                       : std::vector{"memory.limit_in_bytes"};
    for (const char* name : names) {
      const auto limit = number_in(group.folder / name);
      if (limit) limit_memory(machine, *limit, used_by(group), (group.folder / name).string());
    }
  }
}

/// The soft limit of that line of /proc/self/limits.
std::optional<uint64_t> resource_limit(const fs::path& root, std::string_view name) {
  std::ifstream file(root / "proc/self/limits");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    std::istringstream words(line.substr(name.size()));
    std::string word;
    words >> word;
    return number_of(word);
  }
  return std::nullopt;
}

void limit_by_resources(Machine& machine, const fs::path& root) {
  const fs::path status = root / "proc/self/status";
  if (const auto limit = resource_limit(root, "Max address space")) {
    const uint64_t mapped = value_of(status, "VmSize:") << 10;
    limit_memory(machine, *limit, mapped, "RLIMIT_AS (ulimit -v)");
    machine.address_space_free.limit(less(*limit, mapped), "RLIMIT_AS (ulimit -v)");
  }
  if (const auto limit = resource_limit(root, "Max data size"))
    limit_memory(machine, *limit, value_of(status, "VmData:") << 10, "RLIMIT_DATA (ulimit -d)");
  if (const auto limit = resource_limit(root, "Max open files"))
    machine.descriptors.limit(*limit, "RLIMIT_NOFILE (ulimit -n)");
}

/// "0-3,8" as numbers.
std::vector<uint32_t> numbers_of(const std::string& ranges) {
  constexpr uint64_t kCpusMax = 1 << 16;
  std::vector<uint32_t> numbers;
  std::istringstream list(ranges);
  for (std::string range; std::getline(list, range, ',');) {
    const size_t dash = range.find('-');
    const auto first = number_of(range);
    const auto last = dash == std::string::npos ? first : number_of(range.substr(dash + 1));
    for (uint64_t i = first.value_or(1); i <= last.value_or(0) && i < kCpusMax; ++i)
      numbers.push_back(static_cast<uint32_t>(i));
  }
  return numbers;
}

std::vector<uint32_t> allowed_cpus(const fs::path& root) {
  constexpr std::string_view kKey = "Cpus_allowed_list:";
  std::ifstream file(root / "proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(kKey)) continue;
    const size_t at = line.find_first_not_of(" \t", kKey.size());
    return at == std::string::npos ? std::vector<uint32_t>{} : numbers_of(line.substr(at));
  }
  return {};
}

/// Groups of hardware threads that share a core count once.
void limit_by_cores(Machine& machine, const fs::path& root) {
  const std::vector<uint32_t> cpus = allowed_cpus(root);
  std::set<std::string> cores;
  for (const uint32_t cpu : cpus) {
    const std::string name = "cpu" + std::to_string(cpu);
    const std::string siblings =
        first_word(root / "sys/devices/system/cpu" / name / "topology/thread_siblings_list");
    cores.insert(siblings.empty() ? name : siblings);
  }
  if (cores.empty()) return machine.threads.limit(1, "no known core");
  const bool shares = cores.size() < cpus.size();
  machine.threads.limit(cores.size(), shares ? "physical cores" : "cores of the affinity mask");
}

/// Processor time in cores; none without a quota.
std::optional<double> quota_of(const ControlGroup& group) {
  std::string quota, period;
  if (group.is_v2) {
    std::ifstream file(group.folder / "cpu.max");
    file >> quota >> period;
  } else {
    quota = first_word(group.folder / "cpu.cfs_quota_us");
    period = first_word(group.folder / "cpu.cfs_period_us");
  }
  const auto time = number_of(quota), of = number_of(period);
  if (!time || !of || *of == 0) return std::nullopt;
  return static_cast<double>(*time) / static_cast<double>(*of);
}

void limit_by_quota(Machine& machine, const fs::path& root) {
  for (const ControlGroup& group : control_groups(root, "cpu")) {
    const std::optional<double> quota = quota_of(group);
    if (!quota) continue;
    const auto cores = static_cast<uint64_t>(std::max(1.0, std::floor(std::min(*quota, 1e6))));
    const char* name = group.is_v2 ? "cpu.max" : "cpu.cfs_quota_us";
    machine.threads.limit(cores, (group.folder / name).string());
  }
}

}  // namespace

Machine Machine::read(const fs::path& root) {
  Machine machine;
  const fs::path memory = root / "proc/meminfo";
  if (const uint64_t total = value_of(memory, "MemTotal:") << 10; total > 0) {
    machine.memory.limit(total, "the machine's memory");
    machine.memory_free.limit(value_of(memory, "MemAvailable:") << 10, "the machine's free memory");
  }
  limit_by_groups(machine, root);
  limit_by_resources(machine, root);
  limit_by_cores(machine, root);
  limit_by_quota(machine, root);
  return machine;
}

}  // namespace pie
