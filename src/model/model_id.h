#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace pie::model {

/// What a file says of its own name; empty where it says nothing.
struct NameParts {
  std::string name;        ///< general.name
  std::string basename;    ///< general.basename
  std::string size_label;  ///< general.size_label
  std::string finetune;    ///< general.finetune
};

/// The short id that programs ask for: lower case, words joined by '-', only [a-z0-9._-].
/// It is the file name without the extension, the part number and the quantisation, because that is
/// what people call a model by, and what they type ("SmolLM2-135M-Instruct.Q4_1.gguf" is
/// "smollm2-135m-instruct"). A file name that says nothing ("model", "ggml-model-q4_0", a hash)
/// gives way to basename-size-finetune, then to the name in the file, then to "model".
std::string short_model_id(const std::filesystem::path& path, const NameParts& parts);

}  // namespace pie::model
