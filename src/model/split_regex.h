#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/split_expression.h"

namespace pie::model {

/// How a byte-pair tokenizer cuts text before merging.
struct PreTokenizer {
  /// As published, one expression (Rust/Oniguruma dialect); "" where it is not one.
  std::string published;
  /// As libllama does it: each over the pieces of those before it.
  std::vector<SplitExpression> steps;
  /// A word that is in the vocabulary is one token, whatever the merges say.
  bool whole_words = false;
};

/// For a value of tokenizer.ggml.pre; "" for a file without it, which libllama cuts by expressions
/// of its own. kUnsupported for pre-tokenizers that are not served.
Result<PreTokenizer> pre_tokenizer_of(std::string_view name);

/// Every served name.
std::vector<std::string> pre_tokenizer_names();

}  // namespace pie::model
