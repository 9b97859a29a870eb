#include <initializer_list>
#include <string>

#include "host/define.h"
#include "wasm/call.h"

namespace pie::host {
namespace {

/// Known functions that come later.
void not_yet(wasm::Registry& registry, const std::string& interface,
             std::initializer_list<const char*> names) {
  for (const char* name : names) {
    std::string text = "not supported yet: " + interface + "#" + name;
    registry.function(interface, name,
                      [text = std::move(text)](wasm::Call&) { throw wasm::GuestError(text); });
  }
}

}  // namespace

void define_unserved(wasm::Registry& registry) {
  not_yet(registry, "inferlet:adapter/common",
          {"set-adapter", "download-adapter", "upload-adapter"});
  not_yet(registry, "inferlet:zo/evolve",
          {"set-adapter-seed", "initialize-adapter", "update-adapter"});
  not_yet(registry, "inferlet:image/image", {"embed-image", "calculate-embed-size"});

  for (const char* resource : {"global-context", "adapter", "optimizer"})
    registry.resource("inferlet:actor/common", resource);
  registry.unserved("inferlet:actor", "inferlet:actor is not served");
}

}  // namespace pie::host
