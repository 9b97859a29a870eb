#pragma once
#include <filesystem>
#include <string>

#include "base/result.h"

namespace pie::cli {

/// What `pie new` was told.
struct NewOptions {
  std::filesystem::path folder;  ///< to be made; its last part is the program's name
  std::string language = "cpp";
};

/// Makes a folder with a program, its manifest, a test of its own and a README that says how to
/// build and run them. kAlreadyExists when there is something of that name, kInvalidArgument for a
/// name that is no program's or a language that there is no template for; nothing is made then.
Result<void> new_project(const NewOptions& options);

}  // namespace pie::cli
