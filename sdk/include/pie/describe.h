#pragma once
// Types as JSON: a struct that says what its members are is written, read, and described by a JSON
// Schema.
//
//   enum class Unit { kCelsius, kFahrenheit };
//   constexpr auto enum_names(Unit) { return std::array{"celsius", "fahrenheit"}; }
//
//   struct Weather {
//     std::string city;
//     std::optional<Unit> unit;
//     static constexpr auto kFields = std::tuple(
//         inferlet::Field{"city", &Weather::city, "Name of the city"},
//         inferlet::Field{"unit", &Weather::unit});
//   };
//
// A member is a string, a number, a bool, such an enum (its values count from 0) or struct, or a
// std::vector or std::optional of those; an optional one may be left out.
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "pie/json.h"
#include "pie/result.h"

namespace inferlet {

template <class Struct, class Member>
struct Field {
  const char* name;
  Member Struct::* member;
  const char* description = "";
};
template <class Struct, class Member>
Field(const char*, Member Struct::*) -> Field<Struct, Member>;
template <class Struct, class Member>
Field(const char*, Member Struct::*, const char*) -> Field<Struct, Member>;

template <class T>
concept Described = requires { std::tuple_size<std::remove_cvref_t<decltype(T::kFields)>>(); };
template <class T>
concept NamedEnum = std::is_enum_v<T> && requires(T value) { enum_names(value).size(); };

namespace described {

template <class T>
constexpr bool kIsVector = false;
template <class T>
constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
constexpr bool kIsOptional = false;
template <class T>
constexpr bool kIsOptional<std::optional<T>> = true;

/// "[where] got a number, expected a string"
std::unexpected<std::string> mismatch(const std::string& where, const Json& got,
                                      std::string_view expected);
/// The number as an integer within the bounds.
Result<int64_t> whole(const Json& from, const std::string& where, int64_t least, int64_t most);
Result<double> real(const Json& from, const std::string& where);
/// The index of a name.
Result<size_t> choice(const Json& from, const std::string& where, const char* const* names,
                      size_t count);
Json schema_of_choice(const char* const* names, size_t count);
/// An error when `from` is no object, or has a member beyond the names.
Result<void> check_members(const Json& from, const std::string& where, const char* const* names,
                           size_t count);

template <class T>
Result<T> read(const Json& from, const std::string& where);

template <class T>
Result<T> read_struct(const Json& from, const std::string& where) {
  T value{};
  std::optional<std::string> wrong;
  const auto read_field = [&]<class S, class M>(const Field<S, M>& field) {
    if (wrong) return;
    const std::string place = where + "." + field.name;
    const Json* member = from.find(field.name);
    if constexpr (kIsOptional<M>) {
      if (member == nullptr || member->is_null()) return;
    }
    if (member == nullptr) {
      wrong = "[" + place + "] got nothing, expected a value";
      return;
    }
    Result<M> got = read<M>(*member, place);
    if (got) {
      value.*(field.member) = std::move(*got);
    } else {
      wrong = std::move(got).error();
    }
  };
  std::apply(
      [&](const auto&... fields) {
        const char* const names[] = {fields.name..., ""};
        if (auto checked = check_members(from, where, names, sizeof...(fields)); !checked)
          wrong = std::move(checked).error();
        (read_field(fields), ...);
      },
      T::kFields);
  if (wrong) return fail(std::move(*wrong));
  return value;
}

template <class T>
Result<T> read(const Json& from, const std::string& where) {
  if constexpr (std::same_as<T, bool>) {
    if (from.boolean() == nullptr) return mismatch(where, from, "a boolean");
    return *from.boolean();
  } else if constexpr (std::same_as<T, std::string>) {
    if (from.string() == nullptr) return mismatch(where, from, "a string");
    return *from.string();
  } else if constexpr (std::integral<T>) {
    using Limits = std::numeric_limits<T>;
    constexpr auto kMost = std::cmp_less(Limits::max(), std::numeric_limits<int64_t>::max())
                               ? static_cast<int64_t>(Limits::max())
                               : std::numeric_limits<int64_t>::max();
    const auto got = whole(from, where, static_cast<int64_t>(Limits::min()), kMost);
    if (!got) return fail(got.error());
    return static_cast<T>(*got);
  } else if constexpr (std::floating_point<T>) {
    const auto got = real(from, where);
    if (!got) return fail(got.error());
    return static_cast<T>(*got);
  } else if constexpr (NamedEnum<T>) {
    constexpr auto kNames = enum_names(T{});
    const auto got = choice(from, where, kNames.data(), kNames.size());
    if (!got) return fail(got.error());
    return static_cast<T>(*got);
  } else if constexpr (kIsOptional<T>) {
    if (from.is_null()) return T();
    auto got = read<typename T::value_type>(from, where);
    if (!got) return fail(std::move(got).error());
    return T(std::move(*got));
  } else if constexpr (kIsVector<T>) {
    if (from.array() == nullptr) return mismatch(where, from, "an array");
    T items;
    for (const Json& item : *from.array()) {
      auto got =
          read<typename T::value_type>(item, where + "[" + std::to_string(items.size()) + "]");
      if (!got) return fail(std::move(got).error());
      items.push_back(std::move(*got));
    }
    return items;
  } else {
    static_assert(Described<T>, "expected a type with kFields: see pie/describe.h");
    return read_struct<T>(from, where);
  }
}

}  // namespace described

/// The JSON Schema of a type.
template <class T>
Json schema_of() {
  using Members = Json::Object;
  if constexpr (std::same_as<T, bool>) {
    return Members{{"type", "boolean"}};
  } else if constexpr (std::same_as<T, std::string>) {
    return Members{{"type", "string"}};
  } else if constexpr (std::unsigned_integral<T>) {
    return Members{{"type", "integer"}, {"minimum", int64_t{0}}};
  } else if constexpr (std::integral<T>) {
    return Members{{"type", "integer"}};
  } else if constexpr (std::floating_point<T>) {
    return Members{{"type", "number"}};
  } else if constexpr (NamedEnum<T>) {
    constexpr auto kNames = enum_names(T{});
    return described::schema_of_choice(kNames.data(), kNames.size());
  } else if constexpr (described::kIsOptional<T>) {
    return schema_of<typename T::value_type>();
  } else if constexpr (described::kIsVector<T>) {
    return Members{{"type", "array"}, {"items", schema_of<typename T::value_type>()}};
  } else {
    static_assert(Described<T>, "expected a type with kFields: see pie/describe.h");
    Members properties;
    Json::Array required;
    const auto describe = [&]<class S, class M>(const Field<S, M>& field) {
      Json::Object schema = *schema_of<M>().object();
      if (*field.description != '\0') schema.emplace_back("description", field.description);
      properties.emplace_back(field.name, std::move(schema));
      if (!described::kIsOptional<M>) required.emplace_back(field.name);
    };
    std::apply([&](const auto&... fields) { (describe(fields), ...); }, T::kFields);
    return Members{{"type", "object"},
                   {"properties", std::move(properties)},
                   {"required", std::move(required)},
                   {"additionalProperties", false}};
  }
}

template <class T>
Json to_json(const T& value) {
  if constexpr (std::same_as<T, bool> || std::same_as<T, std::string>) {
    return Json(value);
  } else if constexpr (std::integral<T>) {
    return Json(static_cast<int64_t>(value));
  } else if constexpr (std::floating_point<T>) {
    return Json(static_cast<double>(value));
  } else if constexpr (NamedEnum<T>) {
    return Json(enum_names(T{})[static_cast<size_t>(value)]);
  } else if constexpr (described::kIsOptional<T>) {
    return value ? to_json(*value) : Json();
  } else if constexpr (described::kIsVector<T>) {
    Json::Array items;
    for (const auto& item : value) items.push_back(to_json(item));
    return items;
  } else {
    static_assert(Described<T>, "expected a type with kFields: see pie/describe.h");
    Json::Object members;
    const auto add = [&]<class S, class M>(const Field<S, M>& field) {
      Json member = to_json(value.*(field.member));
      if (!described::kIsOptional<M> || !member.is_null())
        members.emplace_back(field.name, std::move(member));
    };
    std::apply([&](const auto&... fields) { (add(fields), ...); }, T::kFields);
    return members;
  }
}

/// The value that was written; `what` begins the place that an error names.
template <class T>
Result<T> from_json(const Json& from, const std::string& what = "value") {
  return described::read<T>(from, what);
}

}  // namespace inferlet
