#pragma once
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "wasm/host_call.h"
#include "wasm/value_convert.h"

namespace pie::wasm {

/// A list of handles is at most so long: each costs some 200 ns, and a wait looks at each.
inline constexpr size_t kHandlesPerListMax = 32'768;

/// Takes every handle among the arguments through wasmtime into state.handle_arguments: owned ones
/// leave the table, borrows are given back. Throws GuestError for a handle that is not ours.
void take_handles(InstanceState& state, wasmtime_context_t* context,
                  const wasmtime_component_val_t* arguments, size_t argument_count);

/// Gives handles of the instance to objects; `context` is that of its store, whose call is the
/// current one. What it makes throws LimitError at the limit, GuestError when a handle can't be.
MakeHandle handle_maker(InstanceState& state, wasmtime_context_t* context);

/// The Call of one host function over wasmtime's values.
class HostCall final : public Call {
 public:
  using Val = wasmtime_component_val_t;
  HostCall(InstanceState& state, wasmtime_context_t* context, std::span<const Val> arguments,
           std::span<Val> results, Numbers numbers = Numbers::kOneByOne)
      : state_(state),
        context_(context),
        arguments_(arguments),
        results_(results),
        numbers_(numbers) {}

  size_t argument_count() const override { return arguments_.size(); }
  bool boolean(size_t i) const override;
  uint8_t u8(size_t i) const override;
  uint16_t u16(size_t i) const override;
  uint32_t u32(size_t i) const override;
  uint64_t u64(size_t i) const override;
  int64_t s64(size_t i) const override;
  float f32(size_t i) const override;
  std::string_view string(size_t i) const override;
  std::string_view enumeration(size_t i) const override;
  std::optional<uint32_t> optional_u32(size_t i) const override;
  std::optional<uint64_t> optional_u64(size_t i) const override;
  std::optional<std::string> optional_string(size_t i) const override;
  VariantCase variant(size_t i) const override;
  std::optional<VariantCase> optional_variant(size_t i) const override;
  bool result_is_ok(size_t i) const override;
  std::string result_error(size_t i) const override;
  std::vector<uint8_t> bytes(size_t i) const override;
  std::vector<uint32_t> u32s(size_t i) const override;
  std::vector<float> f32s(size_t i) const override;
  std::vector<std::string> strings(size_t i) const override;
  std::vector<std::vector<uint32_t>> u32_lists(size_t i) const override;
  std::vector<std::string> byte_lists(size_t i) const override;
  std::vector<std::pair<std::string, std::string>> named_bytes(size_t i) const override;
  std::vector<std::vector<std::string>> string_records(size_t i) const override;
  void ret(Value value) override;

 protected:
  std::shared_ptr<Object> object_at(size_t i) override;
  std::vector<std::shared_ptr<Object>> objects_at(size_t i) override;
  InstanceContext& context_at(size_t index) override;

 private:
  const Val& argument(size_t i, wasmtime_component_valkind_t kind) const;
  const wasmtime_component_vallist_t& list(size_t i) const;

  InstanceState& state_;
  wasmtime_context_t* const context_;
  const std::span<const Val> arguments_;
  const std::span<Val> results_;
  const Numbers numbers_;
};

}  // namespace pie::wasm
