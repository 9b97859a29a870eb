#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"
#include "engine/engine.h"
#include "server/config.h"

namespace pie::server {

/// The file that Config::model means: a path, or the id of a model in share/models.
Result<std::filesystem::path> find_model(const Config& config);

/// Loads the model and starts its engine.
Result<std::unique_ptr<engine::Engine>> open_engine(const Config& config);

}  // namespace pie::server
