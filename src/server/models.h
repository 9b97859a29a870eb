#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "server/config.h"

namespace pie::server {

/// The models of a server: one engine, and so one thread, for each.
struct ServedModels {
  std::vector<std::unique_ptr<engine::Engine>> engines;  ///< the default one first
  std::map<std::string, std::string> ids_of_aliases;

  std::vector<engine::Engine*> pointers() const;
};

/// Loads all models and starts their engines. kInvalidArgument when two have one name.
Result<ServedModels> open_models(const Config& config);

}  // namespace pie::server
