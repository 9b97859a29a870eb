#include "exec/open_executor.h"

#include <algorithm>
#include <array>

#include "exec/ggml_executor.h"
#include "exec/native_executor.h"

namespace pie::exec {
namespace {

using ModelRef = std::shared_ptr<const model::Model>;

template <auto kMake>
Result<std::unique_ptr<Executor>> make(ModelRef model, const ExecutorConfig& config) {
  PIE_TRY_ASSIGN(auto executor, kMake(std::move(model), config));
  return std::unique_ptr<Executor>(std::move(executor));
}

constexpr std::array kKinds = {
    ExecutorKind{"native", native_executor_serves, needs_of_memory, make<make_native_executor>},
    ExecutorKind{"ggml", [](const model::Model&) { return true; }, needs_of_memory,
                 make<make_ggml_executor>},
};

}  // namespace

std::span<const ExecutorKind> executor_kinds() { return kKinds; }

const ExecutorKind& executor_kind_for(const model::Model& model) {
  const auto found = std::find_if(kKinds.begin(), kKinds.end(),
                                  [&](const ExecutorKind& kind) { return kind.serves(model); });
  return found == kKinds.end() ? kKinds.back() : *found;
}

Result<const ExecutorKind*> find_executor_kind(const model::Model& model, std::string_view name) {
  if (name == "auto") return &executor_kind_for(model);
  const auto found = std::find_if(kKinds.begin(), kKinds.end(),
                                  [&](const ExecutorKind& kind) { return kind.name == name; });
  if (found == kKinds.end()) {
    return Error{ErrorCode::kInvalidArgument,
                 "[executor] got '" + std::string(name) + "', expected auto, native or ggml"};
  }
  if (found->serves(model)) return &*found;
  return Error{ErrorCode::kUnsupported,
               "[executor] got '" + std::string(name) + "' for the model " + model.info().id +
                   ", which that one does not serve on this machine: leave it at 'auto'"};
}

Result<std::unique_ptr<Executor>> open_executor(std::shared_ptr<const model::Model> model,
                                                const ExecutorConfig& config) {
  const ExecutorKind& kind = executor_kind_for(*model);
  return kind.make(std::move(model), config);
}

}  // namespace pie::exec
