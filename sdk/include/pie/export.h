#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pie/model.h"
#include "pie/result.h"

namespace inferlet {

struct ExportEntry {
  std::string name;
  uint32_t pages;
};

// A context exports and imports itself: Context::export_as, Context::import.

/// The names under which KV pages are exported, those that were not made by Context::export_as
/// included.
std::vector<ExportEntry> list_exports(const Queue& queue);
/// Gives the name up; who has imported it keeps the pages. An error when there is none.
Result<void> release_export(const Queue& queue, std::string_view name);

}  // namespace inferlet
