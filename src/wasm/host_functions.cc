#include "wasm/host_functions.h"

#include <algorithm>

#include "base/check.h"

namespace pie::wasm {

void HostFunctions::put(const std::string& interface, const std::string& name,
                        HostFunction function) {
  const bool fresh = functions_[interface].emplace(name, std::move(function)).second;
  PIE_CHECK(fresh);
}

void HostFunctions::add_refused(const std::string& interface, const std::string& name,
                                std::string message) {
  HostFunction function;
  function.name = interface + "#" + name;
  function.sync = [message = std::move(message)](HostCall&) { throw GuestError(message); };
  put(interface, name, std::move(function));
}

void HostFunctions::resource(std::string_view name) {
  PIE_CHECK(std::find(resources_.begin(), resources_.end(), name) == resources_.end());
  resources_.emplace_back(name);
}

void HostFunctions::unserved(const std::string& interface_prefix, const std::string& message) {
  unserved_[interface_prefix] = message;
}

const HostFunction* HostFunctions::find(const std::string& interface,
                                        const std::string& name) const {
  const auto functions = functions_.find(interface);
  if (functions == functions_.end()) return nullptr;
  const auto function = functions->second.find(name);
  return function == functions->second.end() ? nullptr : &function->second;
}

}  // namespace pie::wasm
