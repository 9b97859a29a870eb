#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "wasi/http_objects.h"
#include "wasi/interfaces.h"
#include "wasm/host_functions.h"
#include "wasm/wit_described.h"
#include "wasm/wit_result.h"

namespace pie::wasi {
namespace {

using wasm::ByteString;
using wasm::Err;
using wasm::Ok;

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

enum class HeaderError { kInvalidSyntax, kForbidden, kImmutable };
constexpr auto wit_type(const HeaderError*) {
  return wasm::variant_of_names("invalid-syntax", "forbidden", "immutable");
}
using Changed = wasm::WitResult<void, HeaderError>;
using Entries = std::vector<std::tuple<std::string, ByteString>>;

/// What is wrong with a field that a program sets; nothing when it is right.
std::optional<HeaderError> objection(const std::string& name, const std::string& value) {
  if (!is_http_token(name) || !is_http_field_value(value)) return HeaderError::kInvalidSyntax;
  if (is_connection_field(name)) return HeaderError::kForbidden;
  return std::nullopt;
}

std::shared_ptr<Fields> construct(WasiContext& context) {
  return std::make_shared<Fields>(context, HttpFields{});
}

wasm::WitResult<std::shared_ptr<Fields>, HeaderError> from_list(WasiContext& context,
                                                                Entries entries) {
  HttpFields fields;
  fields.reserve(entries.size());
  for (auto& [name, value] : entries) {
    if (const auto wrong = objection(name, value.bytes)) return Err(*wrong);
    fields.emplace_back(std::move(name), std::move(value.bytes));
  }
  return Ok(std::make_shared<Fields>(context, std::move(fields)));
}

std::vector<ByteString> get(Fields& self, std::string_view name) {
  std::vector<ByteString> values;
  for (const auto& [key, value] : self.get())
    if (same_field_name(key, name)) values.push_back({value});
  return values;
}

bool has(Fields& self, std::string_view name) { return find_field(self.get(), name) != nullptr; }

enum class Present { kKeep, kRemove };

/// Adds these values of the field to those that are present, or in their place.
Changed change(Fields& fields, const std::string& name, Present present,
               const std::vector<ByteString>& values) {
  if (fields.immutable()) return Err(HeaderError::kImmutable);
  if (const auto wrong = objection(name, "")) return Err(*wrong);
  for (const ByteString& value : values)
    if (const auto wrong = objection(name, value.bytes)) return Err(*wrong);
  // Before the name is copied for each of the values.
  uint64_t bytes = 0;
  for (const ByteString& value : values)
    bytes += name.size() + value.bytes.size() + kFieldOverheadBytes;
  check_size(bytes);
  HttpFields changed = fields.get();
  if (present == Present::kRemove)
    std::erase_if(changed, [&](const auto& one) { return same_field_name(one.first, name); });
  for (const ByteString& value : values) changed.emplace_back(name, value.bytes);
  fields.replace(std::move(changed));
  return Ok();
}

Changed set(Fields& self, const std::string& name, const std::vector<ByteString>& values) {
  return change(self, name, Present::kRemove, values);
}
Changed remove(Fields& self, const std::string& name) {
  return change(self, name, Present::kRemove, {});
}
Changed append(Fields& self, const std::string& name, ByteString value) {
  return change(self, name, Present::kKeep, {std::move(value)});
}

Entries entries(Fields& self) {
  Entries list;
  for (const auto& [name, value] : self.get()) list.emplace_back(name, ByteString{value});
  return list;
}

std::shared_ptr<Fields> clone(WasiContext& context, Fields& self) {
  return std::make_shared<Fields>(context, self.get());
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

void define_http_fields(wasm::HostFunctions& functions) {
  const std::string method = "[method]fields.";
  functions.resource(Fields::kResource);
  functions.add(kHttpTypes, "[constructor]fields", construct);
  functions.add(kHttpTypes, "[static]fields.from-list", from_list);
  functions.add(kHttpTypes, method + "get", get);
  functions.add(kHttpTypes, method + "has", has);
  functions.add(kHttpTypes, method + "set", set);
  functions.add(kHttpTypes, method + "delete", remove);
  functions.add(kHttpTypes, method + "append", append);
  functions.add(kHttpTypes, method + "entries", entries);
  functions.add(kHttpTypes, method + "clone", clone);
}

}  // namespace pie::wasi
