#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/config.h"

namespace pie::server {

/// A model file that can be named without its path.
struct InstalledModel {
  std::string name;            ///< the short id that its file name gives
  std::filesystem::path file;  ///< the first shard of a split model
  uint64_t size_bytes = 0;     ///< of all shards
  bool is_shipped = false;     ///< in share/models, else in PIE_HOME/models
};

/// What Config::model or one of Config::models says: "SOURCE" or "ALIAS=SOURCE".
struct ModelSpec {
  std::string source;  ///< a file, or the name of an installed model
  std::string alias;   ///< a further name that programs may use; may be empty
};

/// kInvalidArgument for an alias that is no name.
Result<ModelSpec> parse_model_spec(const std::string& text);

std::filesystem::path models_folder(const Config& config);

/// What lies in PIE_HOME/models and share/models, by name; a name in the first hides the second's.
std::vector<InstalledModel> installed_models(const Config& config);

/// The file that `wanted` means: a path, or the name of an installed model or the beginning of one.
/// kNotFound names the folders that were looked through and what is installed.
Result<std::filesystem::path> find_model(const Config& config, const std::string& wanted);

/// How a model comes to PIE_HOME/models.
enum class Placing { kCopied, kLinked };

/// Copies a model file and its shards, or links them by symbolic links, to PIE_HOME/models under
/// `name`, after it has been loaded once. kAlreadyExists for a name in use, kInvalidArgument for
/// one that no file can have; else the reason why it cannot be served.
Result<InstalledModel> add_model(const Config& config, const std::filesystem::path& file,
                                 const std::string& name, Placing placing);

}  // namespace pie::server
