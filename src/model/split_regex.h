#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace pie::model {

/// The regular expression (Rust/Oniguruma dialect) by which a byte-pair tokenizer cuts text before
/// merging, for a value of tokenizer.ggml.pre. kUnsupported for pre-tokenizers that are not served:
/// those whose split libllama leaves to std::regex, which recurses per character, so that a long
/// text of a program could exhaust the stack.
Result<std::string> split_regex_of(std::string_view pre_tokenizer);

}  // namespace pie::model
