#include "wasm/needs.h"

#include <fmt/format.h>

#include <algorithm>

#include "wasm/wasmtime_extra.h"

namespace pie::wasm {
namespace {

/// The allocator gives blocks of 128 KiB a mapping of their own; an element takes 8 bytes.
constexpr uint64_t kSmallTableElements = 16'000;

Error beyond(const char* what, uint64_t got, uint64_t allowed) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("[component] got {} {}, expected at most {}; put its modules together into "
                      "fewer",
                      got, what, allowed)};
}

}  // namespace

Result<Needs> Needs::of(const wasmtime_component_t& component) {
  pie_wasmtime_needs_t found{};
  if (!pie_wasmtime_component_needs(&component, &found))
    return Error{ErrorCode::kInvalidArgument,
                 "[component] got a component that imports core modules, expected one that has "
                 "all of its own"};
  if (found.memories > kMemoriesMax) return beyond("linear memories", found.memories, kMemoriesMax);
  if (found.tables > kTablesMax) return beyond("tables", found.tables, kTablesMax);
  if (found.table_elements > kTableElementsMax)
    return beyond("elements of a table", found.table_elements, kTableElementsMax);
  return Needs{found.memories, found.tables, found.table_elements};
}

uint64_t Needs::table_elements_max() const { return std::max(table_elements, kSmallTableElements); }

uint64_t Needs::mappings() const {
  // Of each memory what lies before the program's image, the image, what follows it, and the guard;
  // the stack and its guard; large tables.
  return 4 * uint64_t{memories} + 2 + (table_elements > kSmallTableElements ? tables : 0);
}

}  // namespace pie::wasm
