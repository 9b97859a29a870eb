#include "store/manifest.h"

#include "fuzz.h"

/// Manifests: an error has the text that clients know; a name that is taken has no path parts.
void pie::fuzz::fuzz(std::string_view input) {
  const auto manifest = store::parse_manifest(input);
  if (!manifest.ok()) {
    MUST(manifest.error().message.rfind("Failed to parse manifest: ", 0) == 0);
    return;
  }
  MUST(manifest->name.version.has_value());
  for (const std::string* part : {&manifest->name.ns, &manifest->name.name}) {
    MUST(!part->empty() && part->find('/') == std::string::npos && part->front() != '.');
  }
  MUST(store::ProgramName::parse(manifest->name.text()).ok());
}
