#include "cli/build_program.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "base/file.h"
#include "cli/process.h"

namespace pie::cli {
namespace {

namespace fs = std::filesystem;

struct Tools {
  std::string clang;
  fs::path sdk;
};

/// What the compiler itself needs, with the Debian package that brings it.
struct Requirement {
  const char* file;
  const char* package;
};
constexpr std::array kRequirements = {
    Requirement{"/usr/bin/wasm-ld-22", "lld-22"},
    Requirement{"/usr/include/wasm32-wasi/stdio.h", "wasi-libc"},
    Requirement{"/usr/lib/llvm-22/include/wasm32-wasi/c++/v1/string", "libc++-22-dev-wasm32"},
    Requirement{"/usr/lib/llvm-22/lib/wasm32-wasi/libc++abi.a", "libc++abi-22-dev-wasm32"},
    Requirement{"/usr/lib/llvm-22/lib/clang/22/lib/wasi/libclang_rt.builtins-wasm32.a",
                "libclang-rt-22-dev-wasm32"},
};

bool is_there(const fs::path& path) {
  std::error_code failed;
  return fs::exists(path, failed);
}

Result<void> check_sources(const BuildOptions& options) {
  if (options.sources.empty()) {
    return Error{ErrorCode::kInvalidArgument, "[build] got no source, expected a C++ file"};
  }
  constexpr std::array kExtensions = {".cpp", ".cc", ".cxx", ".C"};
  for (const fs::path& source : options.sources) {
    if (!is_there(source)) {
      return Error{ErrorCode::kNotFound, "[build] " + source.string() + ": no such file"};
    }
    if (std::ranges::find(kExtensions, source.extension()) == kExtensions.end()) {
      return Error{ErrorCode::kInvalidArgument,
                   "[build] got " + source.string() + ", expected a C++ file (.cpp, .cc, .cxx)"};
    }
  }
  if (!options.manifest.empty() && !is_there(options.manifest)) {
    return Error{ErrorCode::kNotFound, "[build] " + options.manifest.string() + ": no such file"};
  }
  return {};
}

Result<Tools> find_tools(const BuildOptions& options) {
  const fs::path sdk = options.share / "sdk";
  if (!is_there(sdk / "compile.flags")) {
    return Error{ErrorCode::kFailedPrecondition,
                 "[build] got no SDK in " + sdk.string() +
                     ", expected the one that `make build` installs; PIE_SHARE names its folder"};
  }
  const char* chosen = std::getenv("PIE_CLANG");
  const std::string name = chosen != nullptr && *chosen != '\0' ? chosen : "clang-22";
  const std::optional<fs::path> clang = find_executable(name);
  std::string missing;
  if (!clang) {
    if (name != "clang-22") {
      return Error{ErrorCode::kFailedPrecondition,
                   "[build] got PIE_CLANG=" + name + ", expected an executable clang 22"};
    }
    missing = " clang-22";
  }
  for (const Requirement& requirement : kRequirements) {
    if (!is_there(requirement.file)) missing += std::string(" ") + requirement.package;
  }
  if (!missing.empty()) {
    return Error{ErrorCode::kFailedPrecondition,
                 "[build] these Debian packages are missing; install them as root:\n"
                 "    apt-get update && apt-get install --no-install-recommends" +
                     missing};
  }
  return Tools{clang->string(), sdk};
}

Result<void> run_tool(const std::vector<std::string>& command, const std::string& failure) {
  PIE_TRY_ASSIGN(const int code, run_process(command));
  if (code != 0) return Error{ErrorCode::kInvalidArgument, failure};
  return {};
}

/// Sources and the SDK's objects -> core module.
Result<void> compile(const BuildOptions& options, const Tools& tools, const fs::path& module) {
  std::vector<std::string> command = {
      tools.clang, "--driver-mode=g++", "@" + (tools.sdk / "compile.flags").string(),
      "@" + (tools.sdk / "link.flags").string(), "-I" + (tools.sdk / "include").string()};
  command.insert(command.end(), options.compiler_flags.begin(), options.compiler_flags.end());
  for (const fs::path& source : options.sources) command.push_back(source.string());
  const fs::path entry = tools.sdk / "entry" / (options.serves_http ? "http" : "run");
  for (const fs::path& folder : {tools.sdk / "lib", entry}) {
    std::error_code failed;
    for (const auto& file : fs::directory_iterator(folder, failed))
      if (file.path().extension() == ".o") command.push_back(file.path().string());
  }
  command.insert(command.end(), {"-o", module.string()});
  return run_tool(command, "[build] " + options.sources.front().string() +
                               " does not compile; the compiler's messages are above (a program "
                               "that defines inferlet_http is built with --http, one that defines "
                               "inferlet_main without)");
}

}  // namespace

Result<fs::path> build_program(const BuildOptions& options) {
  PIE_TRY(check_sources(options));
  PIE_TRY_ASSIGN(const Tools tools, find_tools(options));
  PIE_TRY_ASSIGN(const TemporaryFolder work, TemporaryFolder::create());
  fs::path output = options.output;
  if (output.empty()) output = options.sources.front().filename().replace_extension(".wasm");

  // The module's file name is the one that backtraces show.
  const fs::path module = work.path() / output.filename();
  PIE_TRY(compile(options, tools, module));
  const fs::path component = work.path() / "component";
  PIE_TRY(run_tool(
      {(tools.sdk / "bin" / "wasm-tools").string(), "component", "new", module.string(), "--adapt",
       "wasi_snapshot_preview1=" + (tools.sdk / "adapter.wasm").string(), "-o", component.string()},
      "[build] the module cannot be made a component; the reason is above"));
  PIE_TRY_ASSIGN(const std::string bytes, read_file(component));
  PIE_TRY(write_file_atomically(output, bytes));
  if (!options.manifest.empty()) {
    PIE_TRY_ASSIGN(const std::string manifest, read_file(options.manifest));
    PIE_TRY(write_file_atomically(fs::path(output).replace_extension(".toml"), manifest));
  }
  return output;
}

}  // namespace pie::cli
