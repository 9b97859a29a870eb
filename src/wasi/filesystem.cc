#include <string>
#include <tuple>
#include <vector>

#include "wasi/interfaces.h"
#include "wasm/host_functions.h"

namespace pie::wasi {
namespace {

/// Behind the `descriptor` that no program is given.
struct Descriptor final : wasm::Object {
  static constexpr std::string_view kResource = "wasi:filesystem/types/descriptor";
};

}  // namespace

/// wasi:filesystem: no folder is open to programs, so no function of `types` can be reached but
/// filesystem-error-code, whose refusal (none) is right.
void define_filesystem(wasm::HostFunctions& functions) {
  functions.add("wasi:filesystem/preopens", "get-directories",
                [] { return std::vector<std::tuple<std::shared_ptr<Descriptor>, std::string>>(); });
}

}  // namespace pie::wasi
