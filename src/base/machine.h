#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace pie {

/// A bound, and what sets it: a limit's name with its place, for messages.
struct MachineBound {
  uint64_t value = UINT64_MAX;
  std::string by;

  /// Takes over a smaller one.
  void limit(uint64_t other, const std::string& what) {
    if (other < value) value = other, by = what;
  }
};

/// What this process may use of its machine: the least of what is there and of the limits that it
/// runs under. These are the control groups' (versions 1 and 2, of every level above the process),
/// the resource limits, and the mask of its cores. Where a file cannot be read, what it would have
/// limited is not.
struct Machine {
  /// Memory that it can have in all, bytes: the machine's, memory.max and memory.high or
  /// memory.limit_in_bytes, RLIMIT_AS, RLIMIT_DATA.
  MachineBound memory;
  /// Memory that it can still take, bytes: each of these less what is in use; of the machine what
  /// can be had without swapping. File pages that the kernel can drop count as free.
  MachineBound memory_free;
  /// Memory that it can still map, bytes: RLIMIT_AS less what is mapped.
  MachineBound address_space_free;
  /// Threads that can compute at once: physical cores of the mask (a core's further hardware
  /// threads add little), and the quota of processor time in whole cores, at least one.
  MachineBound threads;
  /// Open files (RLIMIT_NOFILE).
  MachineBound descriptors;

  /// Reads the files of proc(5) and sysfs under `root`.
  static Machine read(const std::filesystem::path& root = "/");
};

}  // namespace pie
