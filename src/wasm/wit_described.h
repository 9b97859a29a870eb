#pragma once
#include <array>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>

#include "wasm/wit_type.h"

// Records, enums and variants of our own. Each is described once by a function `wit_type` beside
// it, which is found by its argument:
//   constexpr auto wit_type(const Facts*) {
//     return wasm::record(wasm::field("vocab-size", &Facts::vocab_size), ...);
//   }
//   constexpr auto wit_type(const Priority*) { return wasm::enum_of("low", "normal", "high"); }

namespace pie::wasm {

template <class T, class Member>
struct Field {
  std::string_view name;
  Member T::* member;
};
/// A field of a record, by its name in WIT.
template <class T, class Member>
constexpr Field<T, Member> field(std::string_view name, Member T::* member) {
  return {name, member};
}

/// A record; its fields in the order of their declaration in WIT.
template <class... Fields>
struct RecordFields {
  std::tuple<Fields...> fields;
};
template <class... Fields>
constexpr RecordFields<Fields...> record(Fields... fields) {
  return {{fields...}};
}

/// A C++ enum that counts from 0: the names of its cases in their order. In WIT it is an enum, or
/// a variant none of whose cases carries anything.
template <size_t kCount>
struct EnumCases {
  enum class As { kEnum, kVariant } as;
  std::array<std::string_view, kCount> names;
};
template <class... Names>
constexpr EnumCases<sizeof...(Names)> enum_of(Names... names) {
  return {EnumCases<sizeof...(Names)>::As::kEnum, {names...}};
}
template <class... Names>
constexpr EnumCases<sizeof...(Names)> variant_of_names(Names... names) {
  return {EnumCases<sizeof...(Names)>::As::kVariant, {names...}};
}

/// A std::variant: the names of its cases in their order. What is empty stands for a case that
/// carries nothing.
template <size_t kCount>
struct VariantCases {
  std::array<std::string_view, kCount> names;
};
template <class... Names>
constexpr VariantCases<sizeof...(Names)> variant_of(Names... names) {
  return {{names...}};
}

namespace detail {

template <class Cases>
size_t case_index(const Cases& cases, std::string_view name) {
  for (size_t i = 0; i < cases.names.size(); ++i)
    if (cases.names[i] == name) return i;
  throw GuestError("got the case '" + std::string(name) + "', expected one of the interface's");
}

template <class T, class... Fields>
struct DescribedRecord {
  using Description = RecordFields<Fields...>;
  static std::string text(const Description& record) {
    std::string all;
    std::apply([&](const auto&... field) { (add(all, field), ...); }, record.fields);
    return "record{" + all + "}";
  }
  static T read(const Description& record, ValueReader from) {
    T value{};
    size_t i = 0;
    std::apply(
        [&](const auto&... field) {
          ((value.*field.member = read_as(value.*field.member, from.record_field(i++))), ...);
        },
        record.fields);
    return value;
  }
  static void write(const Description& record, ValueWriter to, const T& value) {
    to.record(sizeof...(Fields));
    size_t i = 0;
    std::apply(
        [&](const auto&... field) {
          (write_as(to.record_field(i++, field.name), value.*field.member), ...);
        },
        record.fields);
  }

 private:
  template <class Member>
  static void add(std::string& all, const Field<T, Member>& field) {
    all += (all.empty() ? "" : ", ") + std::string(field.name) + ": " + WitType<Member>::text();
  }
  template <class Member>
  static Member read_as(const Member&, ValueReader from) {
    return WitType<Member>::read(from);
  }
  template <class Member>
  static void write_as(ValueWriter to, const Member& member) {
    WitType<Member>::write(to, member);
  }
};

template <class T, size_t kCount>
struct DescribedEnum {
  using Description = EnumCases<kCount>;
  static std::string text(const Description& cases) {
    std::string all;
    for (const std::string_view name : cases.names)
      all += (all.empty() ? "" : ", ") + std::string(name);
    return (cases.as == Description::As::kEnum ? "enum{" : "variant{") + all + "}";
  }
  static T read(const Description& cases, ValueReader from) {
    return static_cast<T>(case_index(
        cases, cases.as == Description::As::kEnum ? from.enum_case() : from.variant_case()));
  }
  static void write(const Description& cases, ValueWriter to, T value) {
    const std::string_view name = cases.names[static_cast<size_t>(value)];
    cases.as == Description::As::kEnum ? to.enum_case(name) : to.variant(name);
  }
};

template <class... T>
struct DescribedVariant {
  using Value = std::variant<T...>;
  using Description = VariantCases<sizeof...(T)>;
  static std::string text(const Description& cases) {
    std::string all;
    size_t i = 0;
    ((all += (all.empty() ? "" : ", ") + std::string(cases.names[i++]) + payload_text<T>()), ...);
    return "variant{" + all + "}";
  }
  static Value read(const Description& cases, ValueReader from) {
    const size_t index = case_index(cases, from.variant_case());
    Value value;
    size_t i = 0;
    ((i++ == index ? static_cast<void>(value = read_payload<T>(from)) : void()), ...);
    return value;
  }
  static void write(const Description& cases, ValueWriter to, const Value& value) {
    std::visit(
        [&]<class Payload>(const Payload& payload) {
          if constexpr (std::is_empty_v<Payload>)
            to.variant(cases.names[value.index()]);
          else
            WitType<Payload>::write(to.variant_with(cases.names[value.index()]), payload);
        },
        value);
  }

 private:
  template <class Payload>
  static std::string payload_text() {
    if constexpr (std::is_empty_v<Payload>)
      return "";
    else
      return "(" + WitType<Payload>::text() + ")";
  }
  template <class Payload>
  static Payload read_payload(ValueReader from) {
    if constexpr (std::is_empty_v<Payload>)
      return {};
    else
      return WitType<Payload>::read(from.payload());
  }
};

/// The codec of a type with a description of this kind.
template <class T, class Description>
struct Described;
template <class T, class... Fields>
struct Described<T, RecordFields<Fields...>> : DescribedRecord<T, Fields...> {};
template <class T, size_t kCount>
struct Described<T, EnumCases<kCount>> : DescribedEnum<T, kCount> {};
template <class... T, size_t kCount>
struct Described<std::variant<T...>, VariantCases<kCount>> : DescribedVariant<T...> {
  static_assert(kCount == sizeof...(T), "one name for each case");
};

template <class T>
concept HasDescription = requires(const T* type) { wit_type(type); };

}  // namespace detail

template <detail::HasDescription T>
struct WitType<T> {
  static constexpr auto kDescription = wit_type(static_cast<const T*>(nullptr));
  using Codec = detail::Described<T, std::remove_const_t<decltype(kDescription)>>;
  static std::string text() { return Codec::text(kDescription); }
  static T read(ValueReader from) { return Codec::read(kDescription, from); }
  static void write(ValueWriter to, const T& value) { Codec::write(kDescription, to, value); }
};

}  // namespace pie::wasm
