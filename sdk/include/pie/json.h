#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "pie/result.h"

namespace inferlet {

/// A JSON value. Members of an object keep their order; of two of one name the last counts.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  Json() = default;  ///< null
  Json(bool value) : value_(value) {}
  Json(double value) : value_(value) {}
  Json(int64_t value) : value_(value) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  /// One value and nothing else. The error says where; objects and arrays at most 128 deep.
  static Result<Json> parse(std::string_view text);
  /// Without spaces, "a/b" and letters as they are; a number that is not finite is null.
  std::string text() const;

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  // Null for a value of another kind.
  const bool* boolean() const { return std::get_if<bool>(&value_); }
  const std::string* string() const { return std::get_if<std::string>(&value_); }
  const int64_t* integer() const { return std::get_if<int64_t>(&value_); }
  const double* real() const { return std::get_if<double>(&value_); }
  const Array* array() const { return std::get_if<Array>(&value_); }
  const Object* object() const { return std::get_if<Object>(&value_); }

  /// The member of that name; null when there is none, or this is no object.
  const Json* find(std::string_view name) const;
  /// "null", "a boolean", "a number", "a string", "an array", "an object".
  const char* kind() const;

 private:
  void write(std::string& out) const;

  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

}  // namespace inferlet
