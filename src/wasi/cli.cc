#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "wasi/interfaces.h"
#include "wasi/streams.h"
#include "wasi/wasi_context.h"
#include "wasm/host_functions.h"
#include "wasm/wit_result.h"

namespace pie::wasi {
namespace {

/// Behind the `terminal-input` and `terminal-output` that no program is given.
struct TerminalInput final : wasm::Object {
  static constexpr std::string_view kResource = "wasi:cli/terminal-input/terminal-input";
};
struct TerminalOutput final : wasm::Object {
  static constexpr std::string_view kResource = "wasi:cli/terminal-output/terminal-output";
};
template <class Terminal>
std::optional<std::shared_ptr<Terminal>> no_terminal() {
  return std::nullopt;
}

template <StandardOutput::Target kTarget>
std::shared_ptr<OutputStream> standard_output() {
  return std::make_shared<StandardOutput>(kTarget);
}

void exit(const wasm::WitResult<>& status) { throw wasm::ExitRequest(status.ok() ? 0 : 1); }

void exit_with_code(uint8_t code) { throw wasm::ExitRequest(code); }

}  // namespace

/// wasi:cli: arguments and the standard streams. No environment, no terminal, no folder.
void define_cli(wasm::HostFunctions& functions) {
  using Target = StandardOutput::Target;
  functions.add("wasi:cli/stdin", "get-stdin",
                []() -> std::shared_ptr<InputStream> { return std::make_shared<EmptyInput>(); });
  functions.add("wasi:cli/stdout", "get-stdout", standard_output<Target::kStdout>);
  functions.add("wasi:cli/stderr", "get-stderr", standard_output<Target::kStderr>);
  functions.add("wasi:cli/terminal-stdin", "get-terminal-stdin", no_terminal<TerminalInput>);
  functions.add("wasi:cli/terminal-stdout", "get-terminal-stdout", no_terminal<TerminalOutput>);
  functions.add("wasi:cli/terminal-stderr", "get-terminal-stderr", no_terminal<TerminalOutput>);

  const std::string kEnvironment = "wasi:cli/environment";
  functions.add(kEnvironment, "get-environment",
                [] { return std::vector<std::tuple<std::string, std::string>>(); });
  functions.add(
      kEnvironment, "get-arguments",
      [](WasiContext& context) -> const std::vector<std::string>& { return context.arguments(); });
  functions.add(kEnvironment, "initial-cwd", [] { return std::optional<std::string>(); });

  functions.add("wasi:cli/exit", "exit", exit);
  functions.add("wasi:cli/exit", "exit-with-code", exit_with_code);
}

}  // namespace pie::wasi
