#pragma once
#include <wasmtime.h>
#include <wasmtime/component.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "wasm/value.h"

namespace pie::wasm {

/// What a Value holds: a tree, converted to wasmtime's values where a host function returns.
struct Value::Node {
  struct Text {
    std::string text;
  };
  struct Enumeration {
    std::string name;
  };
  struct Variant {
    std::string name;
    std::optional<Value> payload;
  };
  struct Option {
    std::optional<Value> payload;
  };
  struct Outcome {
    bool is_ok;
    std::optional<Value> payload;
  };
  struct List {
    std::vector<Value> items;
  };
  struct Tuple {
    std::vector<Value> items;
  };
  struct Record {
    std::vector<std::pair<std::string, Value>> fields;
  };
  struct Handle {
    std::string resource;
    std::shared_ptr<Object> object;
  };
  std::variant<bool, uint8_t, uint16_t, uint32_t, uint64_t, int32_t, int64_t, float, Text,
               Enumeration, Variant, Option, Outcome, List, Tuple, Record, Handle,
               std::vector<uint32_t>, std::vector<float>, std::vector<uint8_t>>
      of;
};

/// Gives a handle to an object: throws when the instance holds too many, or when handles can't be
/// made at this place.
using MakeHandle =
    std::function<wasmtime_component_resource_any_t*(const Value::Node::Handle& handle)>;

/// How lists of numbers cross: as lists of values, or as one value of kind string with their bytes
/// (wasmtime_extra.h).
enum class Numbers { kOneByOne, kWhole };

/// The value as wasmtime's; the caller owns it (wasmtime_component_val_delete). Every text goes
/// through to_utf8: wasmtime aborts the process on a string, an enum case or a variant case that
/// is not UTF-8. Throws what `make_handle` throws, and then leaks nothing.
wasmtime_component_val_t to_wasmtime(const Value& value, const MakeHandle& make_handle,
                                     Numbers numbers = Numbers::kOneByOne);

}  // namespace pie::wasm
