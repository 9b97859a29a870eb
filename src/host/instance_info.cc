#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/json_text.h"
#include "host/define.h"
#include "host/instance_state.h"
#include "wasm/wit_described.h"
#include "wasm/wit_result.h"

namespace pie::host {
namespace {

using wasm::Wait;
using wasm::WitResult;

constexpr const char* kInstance = "pie:instance/instance";
constexpr const char* kLog = "pie:instance/log";
constexpr uint64_t kLineBytesMax = 64 << 10;  ///< message and fields
constexpr size_t kFieldsMax = 64;

/// In the order of its cases.
enum class LevelCase { kTrace, kDebug, kInfo, kWarning, kError };
constexpr const char* kLevelNames[] = {"trace", "debug", "info", "warning", "error"};
constexpr auto wit_type(const LevelCase*) {
  return wasm::enum_of("trace", "debug", "info", "warning", "error");
}

using LogFields = std::vector<std::tuple<std::string, std::string>>;

/// The time in UTC, to the millisecond.
std::string time_text() {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), (now - seconds).count());
}

Result<void> check_line(std::string_view message, const LogFields& fields) {
  if (fields.size() > kFieldsMax)
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("[log] got {} fields, expected at most {}", fields.size(), kFieldsMax)};
  uint64_t bytes = message.size();
  std::set<std::string_view> names;
  for (const auto& [name, value] : fields) {
    bytes += name.size() + value.size();
    if (!names.insert(name).second)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[log] got the field '{}' twice, expected each once", name)};
  }
  if (bytes <= kLineBytesMax) return {};
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("[log] got a message and fields of {} bytes, expected at most {}", bytes,
                           kLineBytesMax)};
}

/// The line of `log.write`.
std::string line_of(const InstanceState& state, LevelCase level, std::string_view message,
                    const LogFields& fields) {
  std::string listed;
  for (const auto& [name, value] : fields)
    listed += (listed.empty() ? "" : ",") + json_text(name) + ":" + json_text(value);
  return fmt::format(R"({{"time":"{}","level":"{}","instance":"{}","message":{},"fields":{{{}}}}})",
                     time_text(), kLevelNames[static_cast<size_t>(level)], state.public_id,
                     json_text(message), listed) +
         "\n";
}

Wait<WitResult<void, std::string>> write(InstanceState& state, LevelCase level,
                                         const std::string& message, const LogFields& fields) {
  using Written = WitResult<void, std::string>;
  if (auto checked = check_line(message, fields); !checked.ok())
    return {{}, [checked] { return Written(checked); }};
  return {{state.output->writable()},
          [output = state.output, line = line_of(state, level, message, fields)] {
            output->write_stderr(line);
            return Written(wasm::Ok());
          }};
}

}  // namespace

void define_instance(wasm::HostFunctions& functions) {
  functions.add(kInstance, "id", [](InstanceState& state) { return state.public_id; });
  functions.add(kInstance, "user", [](InstanceState& state) { return state.user; });
  functions.add(kInstance, "parent", [](InstanceState& state) { return state.ports->parent(); });
  functions.add(kLog, "write", write);
}

}  // namespace pie::host
