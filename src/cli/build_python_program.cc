#include "cli/build_python_program.h"

#include <optional>
#include <string>
#include <system_error>

#include "base/file.h"
#include "cli/process.h"

namespace pie::cli {
namespace {

namespace fs = std::filesystem;

Error refused(ErrorCode code, const std::string& why) { return {code, "[build] " + why}; }

}  // namespace

bool is_python_program(const BuildOptions& options) {
  if (options.sources.size() != 1) return false;
  std::error_code ignored;
  const fs::path& source = options.sources.front();
  return source.extension() == ".py" || fs::is_directory(source, ignored);
}

Result<fs::path> build_python_program(const BuildOptions& options) {
  const fs::path& source = options.sources.front();
  std::error_code failed;
  if (!fs::exists(source, failed))
    return refused(ErrorCode::kNotFound, source.string() + ": no such file");
  if (options.serves_http || !options.compiler_flags.empty())
    return refused(ErrorCode::kInvalidArgument,
                   "got --http or --flag with a Python program, expected them with C++");
  const fs::path script = options.share / "python" / "build_component.py";
  if (!fs::exists(script, failed))
    return refused(ErrorCode::kFailedPrecondition,
                   "got no " + script.string() +
                       ", expected what `make build` installs; PIE_SHARE names its folder");
  const std::optional<fs::path> python = find_executable("python3");
  if (!python)
    return refused(ErrorCode::kFailedPrecondition, "got no python3 on the PATH, expected one");
  PIE_TRY_ASSIGN(const TemporaryFolder work, TemporaryFolder::create());
  const fs::path component = work.path() / "component.wasm";
  PIE_TRY_ASSIGN(const int code, run_process({python->string(), script.string(), source.string(),
                                              component.string()}));
  if (code != 0)
    return refused(ErrorCode::kFailedPrecondition,
                   source.string() + " is no component; the reason is above");
  fs::path output = options.output;
  if (output.empty()) output = fs::absolute(source).lexically_normal().filename();
  if (options.output.empty()) output.replace_extension(".wasm");
  PIE_TRY_ASSIGN(const std::string bytes, read_file(component));
  PIE_TRY(write_file_atomically(output, bytes));
  if (!options.manifest.empty()) {
    PIE_TRY_ASSIGN(const std::string manifest, read_file(options.manifest));
    PIE_TRY(write_file_atomically(fs::path(output).replace_extension(".toml"), manifest));
  }
  return output;
}

}  // namespace pie::cli
