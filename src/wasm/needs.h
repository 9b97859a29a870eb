#pragma once
#include <wasmtime.h>
#include <wasmtime/component.h>

#include <cstdint>

#include "base/result.h"

namespace pie::wasm {

/// Address space of one linear memory: the whole index space of a 32-bit memory, so that guests
/// need no bounds checks.
inline constexpr uint64_t kMemoryReservationBytes = 4ULL << 30;
inline constexpr uint64_t kMemoryGuardBytes = 32ULL << 20;

/// Bounds of one instance. The largest programs we know (Python's) have one memory, 60 core
/// instances, and 35 tables of up to 12,000 elements.
inline constexpr uint32_t kMemoriesMax = 4;
inline constexpr uint32_t kTablesMax = 100;
inline constexpr uint32_t kCoreInstancesMax = 200;
inline constexpr uint64_t kTableElementsMax = 65'536;

/// What each instance of a component takes of the process besides the bytes in its memories.
struct Needs {
  uint32_t memories = 0;
  uint32_t tables = 0;
  uint64_t table_elements = 0;  ///< of the largest table when it is made

  /// kInvalidArgument, with its name, when a bound above is exceeded.
  static Result<Needs> of(const wasmtime_component_t& component);

  /// How long each table may grow: beyond what every table is made with, only as far as it needs
  /// no mapping of its own.
  uint64_t table_elements_max() const;
  /// Mappings that the kernel keeps for one instance.
  uint64_t mappings() const;
  uint64_t address_bytes() const {
    return memories * (kMemoryReservationBytes + kMemoryGuardBytes);
  }
};

}  // namespace pie::wasm
