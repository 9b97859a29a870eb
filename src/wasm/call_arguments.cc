#include "wasm/call_arguments.h"

#include <fmt/format.h>

#include <utility>

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
  HandleCollector(InstanceState& state, wasmtime_context_t* context)
      : state_(state), context_(context) {}

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
    state_.handle_arguments.push_back(
        {argument, owned ? state_.handles.take(number) : state_.handles.get(number)});
  }

  InstanceState& state_;
  wasmtime_context_t* const context_;
};

[[noreturn]] void throw_mismatch(size_t i) {
  throw GuestError(
      fmt::format("argument {} has another type than this interface declares; build the program "
                  "against the server's WIT",
                  i));
}

template <class T>
std::vector<T> items_of(const wasmtime_component_vallist_t& list, size_t i,
                        wasmtime_component_valkind_t kind, T (*get)(const Val&)) {
  std::vector<T> items;
  items.reserve(list.size);
  for (size_t k = 0; k < list.size; ++k) {
    if (list.data[k].kind != kind) throw_mismatch(i);
    items.push_back(get(list.data[k]));
  }
  return items;
}

uint32_t get_u32(const Val& val) { return val.of.u32; }
std::string get_string(const Val& val) { return {val.of.string.data, val.of.string.size}; }
std::string bytes_of(const wasmtime_component_vallist_t& list, size_t i) {
  std::string bytes(list.size, '\0');
  for (size_t k = 0; k < list.size; ++k) {
    if (list.data[k].kind != WASMTIME_COMPONENT_U8) throw_mismatch(i);
    bytes[k] = static_cast<char>(list.data[k].of.u8);
  }
  return bytes;
}
VariantCase case_of(const Val& val, size_t i) {
  if (val.kind != WASMTIME_COMPONENT_VARIANT) throw_mismatch(i);
  const auto& variant = val.of.variant;
  VariantCase found{{variant.discriminant.data, variant.discriminant.size}, {}};
  if (variant.val && variant.val->kind == WASMTIME_COMPONENT_STRING)
    found.text = get_string(*variant.val);
  return found;
}

}  // namespace

void take_handles(InstanceState& state, wasmtime_context_t* context, const Val* arguments,
                  size_t argument_count) {
  HandleCollector collector(state, context);
  for (size_t i = 0; i < argument_count; ++i) collector.collect(i, arguments[i]);
}

MakeHandle handle_maker(InstanceState& state, wasmtime_context_t* context) {
  return [&state, context](const Value::Node::Handle& handle) {
    const uint32_t type = state.component->resource_number(handle.resource);
    const uint32_t number = state.handles.add(handle.object);
    const HostResource host(wasmtime_component_resource_host_new(true, number, type));
    wasmtime_component_resource_any_t* any = nullptr;
    const WasmError error(wasmtime_component_resource_host_to_any(context, host.get(), &any));
    if (error) throw GuestError("can't give a handle: " + text_of(*error));
    return any;
  };
}

const Val& HostCall::argument(size_t i, wasmtime_component_valkind_t kind) const {
  if (i >= arguments_.size() || arguments_[i].kind != kind) throw_mismatch(i);
  return arguments_[i];
}
const wasmtime_component_vallist_t& HostCall::list(size_t i) const {
  return argument(i, WASMTIME_COMPONENT_LIST).of.list;
}

bool HostCall::boolean(size_t i) const { return argument(i, WASMTIME_COMPONENT_BOOL).of.boolean; }
uint8_t HostCall::u8(size_t i) const { return argument(i, WASMTIME_COMPONENT_U8).of.u8; }
uint16_t HostCall::u16(size_t i) const { return argument(i, WASMTIME_COMPONENT_U16).of.u16; }
uint32_t HostCall::u32(size_t i) const { return argument(i, WASMTIME_COMPONENT_U32).of.u32; }
uint64_t HostCall::u64(size_t i) const { return argument(i, WASMTIME_COMPONENT_U64).of.u64; }
int64_t HostCall::s64(size_t i) const { return argument(i, WASMTIME_COMPONENT_S64).of.s64; }
float HostCall::f32(size_t i) const { return argument(i, WASMTIME_COMPONENT_F32).of.f32; }
std::string_view HostCall::string(size_t i) const {
  const wasm_name_t& text = argument(i, WASMTIME_COMPONENT_STRING).of.string;
  return {text.data, text.size};
}
std::string_view HostCall::enumeration(size_t i) const {
  const wasm_name_t& name = argument(i, WASMTIME_COMPONENT_ENUM).of.enumeration;
  return {name.data, name.size};
}
std::optional<uint32_t> HostCall::optional_u32(size_t i) const {
  const Val* payload = argument(i, WASMTIME_COMPONENT_OPTION).of.option;
  if (!payload) return std::nullopt;
  if (payload->kind != WASMTIME_COMPONENT_U32) throw_mismatch(i);
  return payload->of.u32;
}
std::optional<uint64_t> HostCall::optional_u64(size_t i) const {
  const Val* payload = argument(i, WASMTIME_COMPONENT_OPTION).of.option;
  if (!payload) return std::nullopt;
  if (payload->kind != WASMTIME_COMPONENT_U64) throw_mismatch(i);
  return payload->of.u64;
}
std::optional<std::string> HostCall::optional_string(size_t i) const {
  const Val* payload = argument(i, WASMTIME_COMPONENT_OPTION).of.option;
  if (!payload) return std::nullopt;
  if (payload->kind != WASMTIME_COMPONENT_STRING) throw_mismatch(i);
  return get_string(*payload);
}
VariantCase HostCall::variant(size_t i) const {
  return case_of(argument(i, WASMTIME_COMPONENT_VARIANT), i);
}
std::optional<VariantCase> HostCall::optional_variant(size_t i) const {
  const Val* payload = argument(i, WASMTIME_COMPONENT_OPTION).of.option;
  if (!payload) return std::nullopt;
  return case_of(*payload, i);
}
bool HostCall::result_is_ok(size_t i) const {
  return argument(i, WASMTIME_COMPONENT_RESULT).of.result.is_ok;
}
std::string HostCall::result_error(size_t i) const {
  const auto& result = argument(i, WASMTIME_COMPONENT_RESULT).of.result;
  if (result.is_ok) return {};
  if (!result.val) throw_mismatch(i);
  return case_of(*result.val, i).name;
}
std::vector<uint8_t> HostCall::bytes(size_t i) const {
  if (numbers_ == Numbers::kWhole) {
    const std::string_view whole = string(i);
    return {whole.begin(), whole.end()};
  }
  return items_of<uint8_t>(list(i), i, WASMTIME_COMPONENT_U8,
                           [](const Val& val) { return val.of.u8; });
}
std::vector<uint32_t> HostCall::u32s(size_t i) const {
  return items_of<uint32_t>(list(i), i, WASMTIME_COMPONENT_U32, get_u32);
}
std::vector<float> HostCall::f32s(size_t i) const {
  return items_of<float>(list(i), i, WASMTIME_COMPONENT_F32,
                         [](const Val& val) -> float { return val.of.f32; });
}
std::vector<std::string> HostCall::strings(size_t i) const {
  return items_of<std::string>(list(i), i, WASMTIME_COMPONENT_STRING, get_string);
}

std::vector<std::vector<uint32_t>> HostCall::u32_lists(size_t i) const {
  const auto& outer = list(i);
  std::vector<std::vector<uint32_t>> lists;
  lists.reserve(outer.size);
  for (size_t k = 0; k < outer.size; ++k) {
    if (outer.data[k].kind != WASMTIME_COMPONENT_LIST) throw_mismatch(i);
    lists.push_back(items_of<uint32_t>(outer.data[k].of.list, i, WASMTIME_COMPONENT_U32, get_u32));
  }
  return lists;
}

std::vector<std::string> HostCall::byte_lists(size_t i) const {
  const auto& outer = list(i);
  std::vector<std::string> lists;
  lists.reserve(outer.size);
  for (size_t k = 0; k < outer.size; ++k) {
    if (outer.data[k].kind != WASMTIME_COMPONENT_LIST) throw_mismatch(i);
    lists.push_back(bytes_of(outer.data[k].of.list, i));
  }
  return lists;
}

std::vector<std::pair<std::string, std::string>> HostCall::named_bytes(size_t i) const {
  const auto& outer = list(i);
  std::vector<std::pair<std::string, std::string>> named;
  named.reserve(outer.size);
  for (size_t k = 0; k < outer.size; ++k) {
    const Val& item = outer.data[k];
    if (item.kind != WASMTIME_COMPONENT_TUPLE || item.of.tuple.size != 2) throw_mismatch(i);
    const Val* pair = item.of.tuple.data;
    if (pair[0].kind != WASMTIME_COMPONENT_STRING || pair[1].kind != WASMTIME_COMPONENT_LIST)
      throw_mismatch(i);
    named.emplace_back(get_string(pair[0]), bytes_of(pair[1].of.list, i));
  }
  return named;
}

std::vector<std::vector<std::string>> HostCall::string_records(size_t i) const {
  const auto& outer = list(i);
  std::vector<std::vector<std::string>> records;
  records.reserve(outer.size);
  for (size_t k = 0; k < outer.size; ++k) {
    if (outer.data[k].kind != WASMTIME_COMPONENT_RECORD) throw_mismatch(i);
    const auto& fields = outer.data[k].of.record;
    auto& record = records.emplace_back();
    for (size_t f = 0; f < fields.size; ++f)
      if (fields.data[f].val.kind == WASMTIME_COMPONENT_STRING)
        record.push_back(get_string(fields.data[f].val));
  }
  return records;
}

void HostCall::ret(Value value) {
  if (results_.empty()) throw GuestError("has no result in the program's import, but gives one");
  const Val val = to_wasmtime(value, handle_maker(state_, context_), numbers_);
  wasmtime_component_val_delete(&results_[0]);
  results_[0] = val;
}

std::shared_ptr<Object> HostCall::object_at(size_t i) {
  for (const HandleArgument& handle : state_.handle_arguments)
    if (handle.argument == i) return handle.object;
  return nullptr;
}

std::vector<std::shared_ptr<Object>> HostCall::objects_at(size_t i) {
  std::vector<std::shared_ptr<Object>> objects;
  for (const HandleArgument& handle : state_.handle_arguments)
    if (handle.argument == i) objects.push_back(handle.object);
  return objects;
}

InstanceContext& HostCall::context_at(size_t index) { return *state_.contexts[index]; }

}  // namespace pie::wasm
