#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "wasi/http_objects.h"
#include "wasi/interfaces.h"

namespace pie::wasi {
namespace {

using wasm::Call;
using wasm::Value;

/// What all fields of one message may be together.
constexpr uint64_t kFieldsBytesMax = 128 * 1024;
/// What one field costs beside its bytes.
constexpr uint64_t kFieldOverheadBytes = 64;

uint64_t bytes_of(const HttpFields& fields) {
  uint64_t bytes = 0;
  for (const auto& [name, value] : fields)
    bytes += name.size() + value.size() + kFieldOverheadBytes;
  return bytes;
}

void check_size(uint64_t bytes) {
  if (bytes > kFieldsBytesMax)
    throw wasm::LimitError(
        fmt::format("HTTP fields: used {} bytes, allowed {}", bytes, kFieldsBytesMax));
}

/// What is wrong with a field that a program sets; null when nothing is.
const char* objection(const std::string& name, const std::string& value) {
  if (!is_http_token(name) || !is_http_field_value(value)) return "invalid-syntax";
  if (is_connection_field(name)) return "forbidden";
  return nullptr;
}

Value header_error(const char* what) { return Value::err(Value::variant(what)); }

Value value_bytes(const std::string& value) { return Value::bytes({value.begin(), value.end()}); }

std::vector<Value> values_of(const HttpFields& fields, std::string_view name) {
  std::vector<Value> values;
  for (const auto& [key, value] : fields)
    if (same_field_name(key, name)) values.push_back(value_bytes(value));
  return values;
}

void from_list(Call& call) {
  HttpFields entries = call.named_bytes(0);
  for (const auto& [name, value] : entries)
    if (const char* wrong = objection(name, value)) return call.ret(header_error(wrong));
  call.ret(Value::ok(
      http_handle("fields", std::make_shared<Fields>(context_of(call), std::move(entries)))));
}

/// Removes every value of the field, then adds these.
void change(Call& call, bool keep, const std::vector<std::string>& values) {
  const auto fields = call.object<Fields>(0);
  const std::string name(call.string(1));
  if (fields->immutable()) return call.ret(header_error("immutable"));
  if (const char* wrong = objection(name, "")) return call.ret(header_error(wrong));
  for (const std::string& value : values)
    if (const char* wrong = objection(name, value)) return call.ret(header_error(wrong));
  // Before the name is copied for each of the values.
  uint64_t bytes = 0;
  for (const std::string& value : values) bytes += name.size() + value.size() + kFieldOverheadBytes;
  check_size(bytes);
  HttpFields changed = fields->get();
  if (!keep)
    std::erase_if(changed, [&](const auto& one) { return same_field_name(one.first, name); });
  for (const std::string& value : values) changed.emplace_back(name, value);
  fields->replace(std::move(changed));
  call.ret(Value::ok());
}

void entries(Call& call) {
  const auto fields = call.object<Fields>(0);
  std::vector<Value> list;
  for (const auto& [name, value] : fields->get())
    list.push_back(Value::tuple({Value::string(name), value_bytes(value)}));
  call.ret(Value::list(std::move(list)));
}

}  // namespace

Fields::Fields(WasiContext& context, HttpFields fields) : share_(context.memory()) {
  replace(std::move(fields));
}

void Fields::replace(HttpFields fields) {
  const uint64_t bytes = bytes_of(fields);
  check_size(bytes);
  share_.resize(bytes);
  fields_ = std::make_shared<const HttpFields>(std::move(fields));
}

void define_http_fields(wasm::Registry& registry) {
  const std::string method = "[method]fields.";
  registry.resource(kHttpTypes, "fields");
  registry.function(kHttpTypes, "[constructor]fields", [](Call& call) {
    call.ret(http_handle("fields", std::make_shared<Fields>(context_of(call), HttpFields{})));
  });
  registry.function(kHttpTypes, "[static]fields.from-list", from_list);
  registry.function(kHttpTypes, method + "get", [](Call& call) {
    call.ret(Value::list(values_of(call.object<Fields>(0)->get(), call.string(1))));
  });
  registry.function(kHttpTypes, method + "has", [](Call& call) {
    call.ret(Value::boolean(find_field(call.object<Fields>(0)->get(), call.string(1)) != nullptr));
  });
  registry.function(kHttpTypes, method + "set",
                    [](Call& call) { change(call, false, call.byte_lists(2)); });
  registry.function(kHttpTypes, method + "delete", [](Call& call) { change(call, false, {}); });
  registry.function(kHttpTypes, method + "append", [](Call& call) {
    const std::vector<uint8_t> value = call.bytes(2);
    change(call, true, {std::string(value.begin(), value.end())});
  });
  registry.function(kHttpTypes, method + "entries", entries);
  registry.function(kHttpTypes, method + "clone", [](Call& call) {
    const auto fields = call.object<Fields>(0);
    call.ret(http_handle("fields", std::make_shared<Fields>(context_of(call), fields->get())));
  });
}

}  // namespace pie::wasi
