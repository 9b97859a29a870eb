#include "host/define.h"

namespace pie::host {

void define_host(wasm::HostFunctions& functions) {
  for (const auto define : kInterfaces) define(functions);
}

}  // namespace pie::host
