#pragma once
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wasm/typed_function.h"

namespace pie::wasm {

/// Every host function and resource that programs may import. Filled once at start, by wasi and
/// host; read-only afterwards. Names are WIT's, without versions: "wasi:io/poll",
/// "[method]pollable.block". An import that is not here is answered as docs/ARCHITECTURE.md says:
/// for wasi:* by a refusal that its result type allows, else (and for inferlet:*) by the instance's
/// end with "<interface>#<function> is not served".
class HostFunctions {
 public:
  /// `body`: see host_function(). A component that imports it with another type does not link.
  template <class Body>
  void add(const std::string& interface, const std::string& name, Body body) {
    put(interface, name, host_function(interface + "#" + name, std::move(body)));
  }
  /// A function that is known, whatever its type, but not served: ends the instance that calls it
  /// with this message.
  void add_refused(const std::string& interface, const std::string& name, std::string message);
  /// Declares a resource: "interface/name".
  void resource(std::string_view name);
  /// The text that ends an instance calling an unserved function of this interface, e.g.
  /// "inferlet:actor is not served" for prefix "inferlet:actor". Longest prefix wins.
  void unserved(const std::string& interface_prefix, const std::string& message);

  const HostFunction* find(const std::string& interface, const std::string& name) const;
  /// Whether any function of this interface is here.
  bool serves(const std::string& interface) const { return functions_.contains(interface); }
  const std::map<std::string, std::string>& unserved_messages() const { return unserved_; }
  const std::vector<std::string>& resources() const { return resources_; }

 private:
  void put(const std::string& interface, const std::string& name, HostFunction function);

  std::map<std::string, std::map<std::string, HostFunction>> functions_;
  std::vector<std::string> resources_;
  std::map<std::string, std::string> unserved_;
};

}  // namespace pie::wasm
