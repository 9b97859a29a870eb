#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "wasm/guest_error.h"
#include "wasm/object.h"
#include "wasm/value_reader.h"
#include "wasm/value_writer.h"

namespace pie::wasm {

/// How a C++ type crosses into programs: its name in WIT's words, as they are compared with those
/// of a component, and how it is read among arguments and written as a result. Here are scalars,
/// strings, lists, tuples, options and handles; wit_result.h has results, wit_described.h records,
/// enums and variants. A type may have a WitType of its own.
template <class T>
struct WitType;

/// list<u8> whose bytes are wanted as a string.
struct ByteString {
  std::string bytes;
};

namespace detail {

template <class T, T (ValueReader::*kRead)() const, void (ValueWriter::*kWrite)(T) const>
struct ScalarWitType {
  static T read(ValueReader from) { return (from.*kRead)(); }
  static void write(ValueWriter to, T value) { (to.*kWrite)(value); }
};

}  // namespace detail

template <>
struct WitType<bool> : detail::ScalarWitType<bool, &ValueReader::boolean, &ValueWriter::boolean> {
  static std::string text() { return "bool"; }
};
template <>
struct WitType<uint8_t> : detail::ScalarWitType<uint8_t, &ValueReader::u8, &ValueWriter::u8> {
  static std::string text() { return "u8"; }
};
template <>
struct WitType<uint16_t> : detail::ScalarWitType<uint16_t, &ValueReader::u16, &ValueWriter::u16> {
  static std::string text() { return "u16"; }
};
template <>
struct WitType<uint32_t> : detail::ScalarWitType<uint32_t, &ValueReader::u32, &ValueWriter::u32> {
  static std::string text() { return "u32"; }
};
template <>
struct WitType<uint64_t> : detail::ScalarWitType<uint64_t, &ValueReader::u64, &ValueWriter::u64> {
  static std::string text() { return "u64"; }
};
template <>
struct WitType<int32_t> : detail::ScalarWitType<int32_t, &ValueReader::s32, &ValueWriter::s32> {
  static std::string text() { return "s32"; }
};
template <>
struct WitType<int64_t> : detail::ScalarWitType<int64_t, &ValueReader::s64, &ValueWriter::s64> {
  static std::string text() { return "s64"; }
};
template <>
struct WitType<float> : detail::ScalarWitType<float, &ValueReader::f32, &ValueWriter::f32> {
  static std::string text() { return "f32"; }
};

/// As an argument it is valid during the host function only.
template <>
struct WitType<std::string_view>
    : detail::ScalarWitType<std::string_view, &ValueReader::text, &ValueWriter::text> {
  static std::string text() { return "string"; }
};
template <>
struct WitType<std::string> {
  static std::string text() { return "string"; }
  static std::string read(ValueReader from) { return std::string(from.text()); }
  static void write(ValueWriter to, const std::string& value) { to.text(value); }
};

template <class T>
struct WitType<std::vector<T>> {
  static std::string text() { return "list<" + WitType<T>::text() + ">"; }
  static std::vector<T> read(ValueReader from) {
    if constexpr (std::is_same_v<T, uint8_t>) {
      return from.bytes();
    } else if constexpr (std::is_same_v<T, uint32_t>) {
      return from.u32s();
    } else if constexpr (std::is_same_v<T, float>) {
      return from.f32s();
    } else {
      std::vector<T> items;
      const size_t count = from.list_size();
      items.reserve(count);
      for (size_t i = 0; i < count; ++i) items.push_back(WitType<T>::read(from.list_item(i)));
      return items;
    }
  }
  static void write(ValueWriter to, const std::vector<T>& items) {
    if constexpr (std::is_same_v<T, uint8_t>) {
      to.bytes(items);
    } else if constexpr (std::is_same_v<T, uint32_t>) {
      to.u32s(items);
    } else if constexpr (std::is_same_v<T, float>) {
      to.f32s(items);
    } else {
      to.list(items.size());
      for (size_t i = 0; i < items.size(); ++i) WitType<T>::write(to.list_item(i), items[i]);
    }
  }
};

template <>
struct WitType<ByteString> {
  static std::string text() { return "list<u8>"; }
  static ByteString read(ValueReader from) { return {from.byte_string()}; }
  static void write(ValueWriter to, const ByteString& value) {
    to.bytes({reinterpret_cast<const uint8_t*>(value.bytes.data()), value.bytes.size()});
  }
};

template <class... T>
struct WitType<std::tuple<T...>> {
  static std::string text() {
    std::string all;
    ((all += (all.empty() ? "" : ", ") + WitType<T>::text()), ...);
    return "tuple<" + all + ">";
  }
  static std::tuple<T...> read(ValueReader from) {
    return [&]<size_t... kAt>(std::index_sequence<kAt...>) {
      return std::tuple<T...>{WitType<T>::read(from.tuple_item(kAt))...};
    }(std::index_sequence_for<T...>());
  }
  static void write(ValueWriter to, const std::tuple<T...>& value) {
    to.tuple(sizeof...(T));
    size_t i = 0;
    std::apply([&](const T&... item) { (WitType<T>::write(to.tuple_item(i++), item), ...); },
               value);
  }
};

template <class T>
struct WitType<std::optional<T>> {
  static std::string text() { return "option<" + WitType<T>::text() + ">"; }
  static std::optional<T> read(ValueReader from) {
    if (!from.has_payload()) return std::nullopt;
    return WitType<T>::read(from.payload());
  }
  static void write(ValueWriter to, const std::optional<T>& value) {
    if (!value) return to.none();
    WitType<T>::write(to.some(), *value);
  }
};

/// A handle: borrowed or owned as an argument, owned as a result. A function that needs the object
/// during its call only takes a T&.
template <Resource T>
struct WitType<std::shared_ptr<T>> {
  static std::string text() { return "handle<" + std::string(T::kResource) + ">"; }
  static std::shared_ptr<T> read(ValueReader from) { return from.shared_object<T>(); }
  static void write(ValueWriter to, std::shared_ptr<T> object) {
    to.handle(T::kResource, std::move(object));
  }
};

/// As a result: a pollable of this event.
template <>
struct WitType<ReadinessRef> {
  static std::string text() { return WitType<std::shared_ptr<Pollable>>::text(); }
  static void write(ValueWriter to, ReadinessRef event) {
    to.handle(Pollable::kResource, std::make_shared<Pollable>(std::move(event)));
  }
};

/// As a result: the value; an error ends the instance as throw_error does.
template <class T>
struct WitType<Result<T>> : WitType<T> {
  static void write(ValueWriter to, const Result<T>& result) {
    if (!result.ok()) throw_error(result.error());
    WitType<T>::write(to, *result);
  }
};

}  // namespace pie::wasm
