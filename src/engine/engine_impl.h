#pragma once
#include <memory>

#include "engine/engine.h"
#include "engine/commands/check_pass.h"

namespace pie::engine {

/// Engine::create without the model's file: vocabulary and embedding size come from the caller.
/// `model` may be null when nobody calls Engine::model().
Result<std::unique_ptr<Engine>> make_engine(std::shared_ptr<const model::Model> model,
                                            uint32_t vocab_size, uint32_t embedding_size,
                                            std::unique_ptr<exec::Executor> executor,
                                            const EngineConfig& config, const Clock& clock);

}  // namespace pie::engine
