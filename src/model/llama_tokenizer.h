#pragma once
#include <memory>
#include <optional>

#include "base/result.h"
#include "model/tokenizer.h"

namespace pie::model {

class GgufFile;

/// Tokens with a part to play, as the file names them.
struct SpecialIds {
  std::string bos_text, eos_text;  ///< "" when the file has none
  std::optional<TokenId> bos;
  bool adds_bos = false;  ///< every text begins with it (add_bos_token, or the kind's habit)
  std::vector<TokenId> turn_ends;  ///< end-of-text and end-of-turn tokens; the file's EOS first
};

struct LoadedTokenizer {
  std::unique_ptr<Tokenizer> tokenizer;
  SpecialIds special;
};

/// libllama's vocabulary of the file. kCorrupt when the lists of tokens, types, scores or merges do
/// not fit together, kUnsupported for tokenizer models other than byte-pair ("gpt2") and
/// SentencePiece ("llama").
Result<LoadedTokenizer> load_llama_tokenizer(const GgufFile& file);

}  // namespace pie::model
