#include "wasm/bulk_shape.h"

#include <string>
#include <string_view>
#include <utility>

#include "wasm/type_text.h"

namespace pie::wasm {
namespace {

constexpr std::pair<std::string_view, pie_wasmtime_bulk_shape_t> kShapes[] = {
    {"func(list<u8>) -> handle<>", PIE_WASMTIME_BYTES_TO_RESOURCE},
    {"func(handle<>, u64, u64) -> list<u8>", PIE_WASMTIME_RANGE_TO_BYTES},
    {"func(u64) -> list<u8>", PIE_WASMTIME_COUNT_TO_BYTES},
    {"func(handle<>) -> option<list<tuple<list<u32>, list<f32>>>>",
     PIE_WASMTIME_RESOURCE_TO_RANKINGS},
    {"func(handle<>) -> tuple<list<u32>, list<list<u8>>>", PIE_WASMTIME_RESOURCE_TO_VOCABULARY},
    {"func() -> list<u8>", PIE_WASMTIME_NOTHING_TO_BYTES},
    {"func(string) -> option<list<u8>>", PIE_WASMTIME_TEXT_TO_BYTES},
    {"func(string, list<u8>) -> result<_, string>", PIE_WASMTIME_TEXT_AND_BYTES},
};

}  // namespace

std::optional<pie_wasmtime_bulk_shape_t> bulk_shape_of(const wasmtime_component_func_type_t* type) {
  const std::string text =
      text_of(type, [](const wasmtime_component_resource_type_t*) { return std::string(); });
  for (const auto& [shape_text, shape] : kShapes)
    if (text == shape_text) return shape;
  return std::nullopt;
}

}  // namespace pie::wasm
