#include "cli/on_call.h"

#include <string>
#include <utility>

#include "cli/exit_code.h"
#include "cli/standard_streams.h"

namespace pie::cli {
namespace {

/// "auth add" of `pie auth add`.
std::string full_name(const CLI::App* command) {
  const CLI::App* parent = command->get_parent();
  const bool is_nested = parent != nullptr && parent->get_parent() != nullptr;
  return (is_nested ? full_name(parent) + " " : "") + command->get_name();
}

}  // namespace

void on_call(CLI::App* command, int& exit_code, std::function<Result<int>()> call) {
  command->callback([command, &exit_code, call = std::move(call)] {
    const Result<int> done = call();
    if (!done.ok()) complain_as(full_name(command), done.error().message);
    exit_code = settle(full_name(command), done.ok() ? *done : kExitFailed);
  });
}

void on_call(CLI::App* command, int& exit_code, std::function<Result<void>()> call) {
  on_call(command, exit_code,
          std::function<Result<int>()>([call = std::move(call)]() -> Result<int> {
            PIE_TRY(call());
            return 0;
          }));
}

}  // namespace pie::cli
