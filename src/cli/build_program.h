#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace pie::cli {

/// What `pie build` was told.
struct BuildOptions {
  std::vector<std::filesystem::path> sources;  ///< C++ files, one of them with inferlet_main
  std::filesystem::path output;                ///< "": the first source's name with .wasm, here
  std::filesystem::path manifest;              ///< copied beside the output as .toml; "": none
  std::vector<std::string> compiler_flags;     ///< added to the SDK's own, e.g. -DNAME or -O2
  bool serves_http = false;                    ///< one of the files has inferlet_http instead
  std::filesystem::path share;                 ///< the installation: share/sdk is the SDK
};

/// Compiles a program to a component with the installed SDK, clang (PIE_CLANG, else clang-22) and
/// the SDK's wasm-tools. What the tools say goes to stderr. Returns the component's path; it is
/// written by one rename. kNotFound for a missing source, kFailedPrecondition for a missing
/// compiler or library (naming the Debian packages), kInvalidArgument when the program does not
/// compile.
Result<std::filesystem::path> build_program(const BuildOptions& options);

}  // namespace pie::cli
