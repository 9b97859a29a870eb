#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "host/define.h"
#include "host/objects.h"

namespace pie::host {
namespace {

constexpr const char* kCommon = "inferlet:core/common";

using Pointers = std::vector<uint32_t>;

Result<Pointers> allocate(QueueObject& queue, uint32_t type, uint32_t count) {
  return queue.engine().allocate(queue.id, type, count);
}

Result<void> deallocate(QueueObject& queue, uint32_t type, const Pointers& pointers) {
  return queue.engine().deallocate(queue.id, type, pointers);
}

Result<std::vector<std::tuple<std::string, uint32_t>>> get_all_exported(QueueObject& queue,
                                                                        uint32_t type) {
  PIE_TRY_ASSIGN(auto exported, queue.engine().exported(queue.id, type));
  std::vector<std::tuple<std::string, uint32_t>> rows;
  rows.reserve(exported.size());
  for (auto& one : exported) rows.emplace_back(std::move(one.name), one.count);
  return rows;
}

Result<void> release_exported(QueueObject& queue, uint32_t type, const std::string& name) {
  return queue.engine().release_exported(queue.id, type, name);
}

Result<void> export_resources(QueueObject& queue, uint32_t type, const Pointers& pointers,
                              const std::string& name) {
  return queue.engine().export_resources(queue.id, type, pointers, name);
}

Result<Pointers> import_resources(QueueObject& queue, uint32_t type, const std::string& name) {
  return queue.engine().import_resources(queue.id, type, name);
}

}  // namespace

void define_resources(wasm::HostFunctions& functions) {
  functions.add(kCommon, "allocate-resources", allocate);
  functions.add(kCommon, "deallocate-resources", deallocate);
  functions.add(kCommon, "get-all-exported-resources", get_all_exported);
  functions.add(kCommon, "release-exported-resources", release_exported);
  functions.add(kCommon, "export-resources", export_resources);
  functions.add(kCommon, "import-resources", import_resources);
}

}  // namespace pie::host
