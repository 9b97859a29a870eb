#include <initializer_list>
#include <string>

#include "host/define.h"

namespace pie::host {
namespace {

/// Known functions that come later.
void not_yet(wasm::HostFunctions& functions, const std::string& interface,
             std::initializer_list<const char*> names) {
  for (const char* name : names)
    functions.add_refused(interface, name, "not supported yet: " + interface + "#" + name);
}

}  // namespace

void define_unserved(wasm::HostFunctions& functions) {
  not_yet(functions, "inferlet:image/image", {"embed-image", "calculate-embed-size"});

  for (const char* resource : {"inferlet:actor/common/global-context",
                               "inferlet:actor/common/adapter", "inferlet:actor/common/optimizer"})
    functions.resource(resource);
  functions.unserved("inferlet:actor", "inferlet:actor is not served");
}

}  // namespace pie::host
