#include "wasm/handle_arguments.h"

#include <fmt/format.h>

#include "wasm/guest_error.h"

namespace pie::wasm {
namespace {

using Val = wasmtime_component_val_t;

bool may_hold_handles(wasmtime_component_valkind_t kind) {
  switch (kind) {
    case WASMTIME_COMPONENT_RESOURCE:
    case WASMTIME_COMPONENT_LIST:
    case WASMTIME_COMPONENT_RECORD:
    case WASMTIME_COMPONENT_TUPLE:
    case WASMTIME_COMPONENT_VARIANT:
    case WASMTIME_COMPONENT_OPTION:
    case WASMTIME_COMPONENT_RESULT: return true;
    default: return false;
  }
}

class HandleCollector {
 public:
  HandleCollector(StoreData& store, wasmtime_context_t* context)
      : store_(store), context_(context) {}

  void collect(size_t argument, const Val& val) {
    switch (val.kind) {
      case WASMTIME_COMPONENT_RESOURCE: take(argument, val.of.resource); break;
      case WASMTIME_COMPONENT_LIST:
        collect_all(argument, val.of.list.data, val.of.list.size);
        break;
      case WASMTIME_COMPONENT_TUPLE:
        for (size_t i = 0; i < val.of.tuple.size; ++i) collect(argument, val.of.tuple.data[i]);
        break;
      case WASMTIME_COMPONENT_RECORD:
        for (size_t i = 0; i < val.of.record.size; ++i)
          collect(argument, val.of.record.data[i].val);
        break;
      case WASMTIME_COMPONENT_VARIANT: collect_boxed(argument, val.of.variant.val); break;
      case WASMTIME_COMPONENT_OPTION: collect_boxed(argument, val.of.option); break;
      case WASMTIME_COMPONENT_RESULT: collect_boxed(argument, val.of.result.val); break;
      default: break;
    }
  }

 private:
  void collect_boxed(size_t argument, const Val* val) {
    if (val) collect(argument, *val);
  }
  /// Items of one list are of one kind: a long list of numbers is seen by its first item.
  void collect_all(size_t argument, const Val* items, size_t count) {
    if (count == 0 || !may_hold_handles(items[0].kind)) return;
    if (items[0].kind == WASMTIME_COMPONENT_RESOURCE && count > kHandlesPerListMax)
      throw GuestError(fmt::format("argument {} got a list of {} handles, expected at most {}",
                                   argument, count, kHandlesPerListMax));
    for (size_t i = 0; i < count; ++i) collect(argument, items[i]);
  }

  void take(size_t argument, const wasmtime_component_resource_any_t* any) {
    const bool owned = wasmtime_component_resource_any_owned(any);
    wasmtime_component_resource_host_t* raw = nullptr;
    const WasmError error(wasmtime_component_resource_any_to_host(context_, any, &raw));
    if (error)
      throw GuestError(
          fmt::format("argument {} is a handle to a resource of the program's own", argument));
    const HostResource host(raw);
    const uint32_t number = wasmtime_component_resource_host_rep(host.get());
    store_.handle_arguments.all.push_back(
        {argument, owned ? store_.handles.take(number) : store_.handles.get(number)});
  }

  StoreData& store_;
  wasmtime_context_t* const context_;
};

}  // namespace

void take_handles(StoreData& store, wasmtime_context_t* context, const Val* arguments,
                  size_t argument_count) {
  HandleCollector collector(store, context);
  for (size_t i = 0; i < argument_count; ++i) collector.collect(i, arguments[i]);
}

}  // namespace pie::wasm
