#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "wasm/call.h"

namespace pie::wasm {

/// A host function that answers at once.
using SyncFunction = std::function<void(Call&)>;

/// A host function that waits: it returns the events, the fiber sleeps until one of them is ready,
/// then `finish` gives the result from the indices that are; what it throws ends the instance as
/// what the function throws. Without events and without `finish`, the function has set its result
/// already.
struct Wait {
  std::vector<EventRef> events;
  std::function<Value(const std::vector<uint32_t>& ready)> finish;  ///< null: no result
  std::function<Wait()> then = nullptr;  ///< instead of `finish`: what is waited for next
};
using AsyncFunction = std::function<Wait(Call&)>;

/// Every host function and resource that programs may import. Filled once at start, by wasi and
/// host; read-only afterwards. Names are WIT's, without versions: "wasi:io/poll",
/// "[method]pollable.block". An import that is not here is answered as docs/ARCHITECTURE.md says:
/// for wasi:* by a refusal that its result type allows, else (and for inferlet:*) by the instance's
/// end with "<interface>#<function> is not served".
class Registry {
 public:
  struct Function {
    std::string name;  ///< "interface#function"
    SyncFunction sync;
    AsyncFunction async;
  };

  void function(const std::string& interface, const std::string& name, SyncFunction body);
  void async_function(const std::string& interface, const std::string& name, AsyncFunction body);
  /// Declares a resource: "interface/name".
  void resource(const std::string& interface, const std::string& name);
  /// The text that ends an instance calling an unserved function of this interface, e.g.
  /// "inferlet:actor is not served" for prefix "inferlet:actor". Longest prefix wins.
  void unserved(const std::string& interface_prefix, const std::string& message);

  const Function* find(const std::string& interface, const std::string& name) const;
  /// Whether any function of this interface is here.
  bool serves(const std::string& interface) const { return functions_.contains(interface); }
  const std::map<std::string, std::string>& unserved_messages() const { return unserved_; }
  const std::vector<std::string>& resources() const { return resources_; }

 private:
  std::map<std::string, std::map<std::string, Function>> functions_;
  std::vector<std::string> resources_;
  std::map<std::string, std::string> unserved_;
};

}  // namespace pie::wasm
