#include <string>
#include <string_view>

#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "wasm/wit_result.h"

namespace pie::host {
namespace {

using wasm::ByteString;
using wasm::WitResult;

constexpr const char* kSource = "pie:program/source";
constexpr const char* kCache = "pie:program/cache";

Result<ByteString> bytes(InstanceState& state) {
  const BlobRef source = state.program->source();
  if (!source) return ByteString{};
  PIE_TRY_ASSIGN(std::string all, read_all(*source));
  return ByteString{std::move(all)};
}

std::optional<ByteString> load(InstanceState& state, std::string_view key) {
  const auto value = state.services.program_cache.load(state.user, state.program->hash(), key);
  if (!value) return std::nullopt;
  return ByteString{*value};
}

WitResult<void, std::string> store(InstanceState& state, std::string_view key, ByteString value) {
  return state.services.program_cache.store(state.user, state.program->hash(), key,
                                            std::move(value.bytes),
                                            part_of(state.quotas, &UserQuotas::host_memory));
}

}  // namespace

void define_program(wasm::HostFunctions& functions) {
  functions.add(kSource, "bytes", bytes);
  functions.add(kCache, "load", load);
  functions.add(kCache, "store", store);
}

}  // namespace pie::host
