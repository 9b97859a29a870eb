#pragma once
#include <filesystem>

#include "base/result.h"
#include "cli/build_program.h"

namespace pie::cli {

/// Whether `pie build` was given a Python program: one .py file, or one folder.
bool is_python_program(const BuildOptions& options);

/// Makes a component of it: the Python runtime with the program inside, by componentize-py and the
/// sources in share/python. Errors as build_program(); what the tools say goes to stderr.
Result<std::filesystem::path> build_python_program(const BuildOptions& options);

}  // namespace pie::cli
