#include "host/define.h"
#include "host/guest_errors.h"
#include "host/objects.h"

namespace pie::host {
namespace {

using wasm::Call;
using wasm::Value;

constexpr const char* kCommon = "inferlet:core/common";

void allocate(Call& call) {
  auto queue = call.object<QueueObject>(0);
  call.ret(
      Value::u32s(value_or_throw(queue->engine().allocate(queue->id, call.u32(1), call.u32(2)))));
}

void deallocate(Call& call) {
  auto queue = call.object<QueueObject>(0);
  value_or_throw(queue->engine().deallocate(queue->id, call.u32(1), call.u32s(2)));
}

void get_all_exported(Call& call) {
  auto queue = call.object<QueueObject>(0);
  std::vector<Value> rows;
  for (auto& one : value_or_throw(queue->engine().exported(queue->id, call.u32(1)))) {
    std::vector<Value> row;
    row.push_back(Value::string(std::move(one.name)));
    row.push_back(Value::u32(one.count));
    rows.push_back(Value::tuple(std::move(row)));
  }
  call.ret(Value::list(std::move(rows)));
}

void release_exported(Call& call) {
  auto queue = call.object<QueueObject>(0);
  value_or_throw(
      queue->engine().release_exported(queue->id, call.u32(1), std::string(call.string(2))));
}

void export_resources(Call& call) {
  auto queue = call.object<QueueObject>(0);
  value_or_throw(queue->engine().export_resources(queue->id, call.u32(1), call.u32s(2),
                                                  std::string(call.string(3))));
}

void import_resources(Call& call) {
  auto queue = call.object<QueueObject>(0);
  call.ret(Value::u32s(value_or_throw(
      queue->engine().import_resources(queue->id, call.u32(1), std::string(call.string(2))))));
}

}  // namespace

void define_resources(wasm::Registry& registry) {
  registry.function(kCommon, "allocate-resources", allocate);
  registry.function(kCommon, "deallocate-resources", deallocate);
  registry.function(kCommon, "get-all-exported-resources", get_all_exported);
  registry.function(kCommon, "release-exported-resources", release_exported);
  registry.function(kCommon, "export-resources", export_resources);
  registry.function(kCommon, "import-resources", import_resources);
}

}  // namespace pie::host
