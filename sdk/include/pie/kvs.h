#pragma once
#include <optional>
#include <string_view>

#include "pie/describe.h"
#include "pie/runtime.h"

namespace inferlet::kvs {

/// A value of a described type (pie/describe.h), kept as JSON text.
template <class T>
void set_as(std::string_view key, const T& value) {
  set(key, to_json(value).text());
}

/// None when there is no such key; an error when what it has is of another type.
template <class T>
Result<std::optional<T>> get_as(std::string_view key) {
  const std::optional<std::string> text = get(key);
  if (!text) return std::optional<T>();
  const Result<Json> json = Json::parse(*text);
  if (!json) return fail(json.error());
  Result<T> value = from_json<T>(*json, std::string(key));
  if (!value) return fail(std::move(value).error());
  return std::optional<T>(std::move(*value));
}

}  // namespace inferlet::kvs
