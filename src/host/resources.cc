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

}  // namespace

void define_resources(wasm::Registry& registry) {
  registry.function(kCommon, "allocate-resources", allocate);
  registry.function(kCommon, "deallocate-resources", deallocate);
  for (const char* name : {"get-all-exported-resources", "release-exported-resources",
                           "export-resources", "import-resources"}) {
    std::string text = std::string("not supported yet: ") + name;
    registry.function(kCommon, name,
                      [text = std::move(text)](Call&) { throw wasm::GuestError(text); });
  }
}

}  // namespace pie::host
