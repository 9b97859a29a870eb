#include "wasm/host_call.h"

#include "wasm/store_data.h"

namespace pie::wasm {

ValueReader HostCall::argument(size_t i) const { return {arguments_[i], store_.handle_arguments}; }

InstanceContext& HostCall::context(size_t index) const { return *store_.contexts[index]; }

}  // namespace pie::wasm
