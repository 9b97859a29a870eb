#include "wasm/registry.h"

#include <algorithm>

#include "base/check.h"

namespace pie::wasm {

void Registry::function(const std::string& interface, const std::string& name, SyncFunction body) {
  const bool fresh = functions_[interface]
                         .emplace(name, Function{interface + "#" + name, std::move(body), nullptr})
                         .second;
  PIE_CHECK(fresh);
}

void Registry::async_function(const std::string& interface, const std::string& name,
                              AsyncFunction body) {
  const bool fresh = functions_[interface]
                         .emplace(name, Function{interface + "#" + name, nullptr, std::move(body)})
                         .second;
  PIE_CHECK(fresh);
}

void Registry::resource(const std::string& interface, const std::string& name) {
  std::string full = interface + "/" + name;
  PIE_CHECK(std::find(resources_.begin(), resources_.end(), full) == resources_.end());
  resources_.push_back(std::move(full));
}

void Registry::unserved(const std::string& interface_prefix, const std::string& message) {
  unserved_[interface_prefix] = message;
}

const Registry::Function* Registry::find(const std::string& interface,
                                         const std::string& name) const {
  const auto functions = functions_.find(interface);
  if (functions == functions_.end()) return nullptr;
  const auto function = functions->second.find(name);
  return function == functions->second.end() ? nullptr : &function->second;
}

}  // namespace pie::wasm
