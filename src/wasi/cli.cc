#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "wasi/interfaces.h"
#include "wasi/streams.h"
#include "wasi/wasi_context.h"

namespace pie::wasi {

using wasm::Call;
using wasm::ExitRequest;
using wasm::Value;

/// wasi:cli: arguments and the standard streams. No environment, no terminal, no folder.
void define_cli(wasm::Registry& registry) {
  registry.function("wasi:cli/stdin", "get-stdin", [](Call& call) {
    call.ret(Value::handle("wasi:io/streams/input-stream", std::make_shared<EmptyInput>()));
  });
  const auto give = [&](const char* interface, const char* name, StandardOutput::Target target) {
    registry.function(interface, name, [target](Call& call) {
      call.ret(
          Value::handle("wasi:io/streams/output-stream", std::make_shared<StandardOutput>(target)));
    });
  };
  give("wasi:cli/stdout", "get-stdout", StandardOutput::Target::kStdout);
  give("wasi:cli/stderr", "get-stderr", StandardOutput::Target::kStderr);
  for (const std::string stream : {"stdin", "stdout", "stderr"})
    registry.function("wasi:cli/terminal-" + stream, "get-terminal-" + stream,
                      [](Call& call) { call.ret(Value::none()); });

  const std::string kEnvironment = "wasi:cli/environment";
  registry.function(kEnvironment, "get-environment", [](Call& call) { call.ret(Value::list({})); });
  registry.function(kEnvironment, "get-arguments", [](Call& call) {
    std::vector<Value> arguments;
    for (const std::string& argument : context_of(call).arguments())
      arguments.push_back(Value::string(argument));
    call.ret(Value::list(std::move(arguments)));
  });
  registry.function(kEnvironment, "initial-cwd", [](Call& call) { call.ret(Value::none()); });

  registry.function("wasi:cli/exit", "exit",
                    [](Call& call) { throw ExitRequest(call.result_is_ok(0) ? 0 : 1); });
  registry.function("wasi:cli/exit", "exit-with-code",
                    [](Call& call) { throw ExitRequest(call.u8(0)); });
}

}  // namespace pie::wasi
