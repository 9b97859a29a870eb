#include "exec/open_executor.h"

#include <algorithm>
#include <array>

#include "exec/ggml_executor.h"

namespace pie::exec {
namespace {

constexpr std::array kKinds = {
    ExecutorKind{"ggml", [](const model::Model&) { return true; }, make_ggml_executor},
};

}  // namespace

std::span<const ExecutorKind> executor_kinds() { return kKinds; }

const ExecutorKind& executor_kind_for(const model::Model& model) {
  const auto found = std::find_if(kKinds.begin(), kKinds.end(),
                                  [&](const ExecutorKind& kind) { return kind.serves(model); });
  return found == kKinds.end() ? kKinds.back() : *found;
}

Result<std::unique_ptr<Executor>> open_executor(std::shared_ptr<const model::Model> model,
                                                const ExecutorConfig& config) {
  const ExecutorKind& kind = executor_kind_for(*model);
  return kind.make(std::move(model), config);
}

}  // namespace pie::exec
