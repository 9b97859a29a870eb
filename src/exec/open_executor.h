#pragma once
#include <memory>
#include <span>
#include <string_view>

#include "exec/executor.h"
#include "exec/executor_needs.h"
#include "model/model.h"

namespace pie::exec {

/// One way to execute a model.
struct ExecutorKind {
  const char* name;
  /// Whether make() serves the model's family and tensor types.
  bool (*serves)(const model::Model& model);
  /// What it takes for the model, and with it how large its page pool can be.
  ExecutorNeeds (*needs)(const model::Model& model, KvFormat format);
  Result<std::unique_ptr<Executor>> (*make)(std::shared_ptr<const model::Model> model,
                                            const ExecutorConfig& config);
};

/// All of them, the fastest first; the last serves whatever Model::load takes.
std::span<const ExecutorKind> executor_kinds();

/// The first that serves the model.
const ExecutorKind& executor_kind_for(const model::Model& model);

/// The one of that name, or for "auto" the first that serves the model. kInvalidArgument for
/// another name, kUnsupported when the named one does not serve the model.
Result<const ExecutorKind*> find_executor_kind(const model::Model& model, std::string_view name);

/// Makes the first that serves the model. kResourceExhausted, kUnsupported as make() says.
Result<std::unique_ptr<Executor>> open_executor(std::shared_ptr<const model::Model> model,
                                                const ExecutorConfig& config);

}  // namespace pie::exec
