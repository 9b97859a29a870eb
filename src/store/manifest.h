#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/names.h"

namespace pie::store {

/// An input or output that a program declares.
struct InterfaceField {
  std::string name;
  std::string type;
  bool optional = false;
  std::string description;
};

/// A program's manifest (protocol.md, section 6).
struct Manifest {
  ProgramName name;  ///< with its version
  std::string description;
  std::vector<std::string> authors;
  std::string repository;
  std::string readme;
  std::vector<std::string> keywords;
  std::vector<ProgramName> dependencies;
  std::string engine_min_version;
  std::vector<InterfaceField> inputs, outputs;
};

/// Reads TOML text. Every error begins with "Failed to parse manifest: ".
Result<Manifest> parse_manifest(std::string_view text);

}  // namespace pie::store
