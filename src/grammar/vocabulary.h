#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/strong_id.h"

struct LlgTokenizer;

namespace pie::grammar {

/// What a grammar has to know of a model's tokens.
struct VocabularyData {
  std::vector<std::string> tokens;  ///< by id: its bytes; of a control token, its name
  std::vector<TokenId> control;     ///< stand for no text, even where their name is written
  std::vector<TokenId> stops;       ///< end a text, or a turn
  /// The model's tokenizer; thread-safe. It may take a name for the control token.
  std::function<std::vector<TokenId>(std::string_view text)> tokenize;
};

/// A vocabulary prepared for grammars: some 200 ms of work for 49k tokens, 1.1 s for 262k.
/// Immutable and thread-safe.
class Vocabulary {
 public:
  /// kInvalidArgument: ids that are not there.
  static Result<std::shared_ptr<const Vocabulary>> make(VocabularyData data);
  ~Vocabulary();
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  size_t size() const { return data_.tokens.size(); }
  /// 32-bit words of a mask: one bit a token, from the lowest of the first word on.
  size_t mask_words() const { return (size() + 31) / 32; }
  const std::vector<TokenId>& stops() const { return data_.stops; }
  bool is_stop(TokenId token) const;
  /// What a token stands for, for people.
  const std::string& text_of(TokenId token) const { return data_.tokens[token]; }
  /// The tokens that stand for the bytes, none of them a control token: the model's, unless it has
  /// none such.
  std::vector<TokenId> tokenize(std::string_view bytes) const;
  /// What the library holds for it.
  const LlgTokenizer* handle() const { return handle_; }
  uint64_t bytes() const { return bytes_; }

 private:
  explicit Vocabulary(VocabularyData data);
  Result<void> build();
  void append_text(std::string_view text, std::vector<TokenId>& tokens) const;
  void append_greedily(std::string_view bytes, std::vector<TokenId>& tokens) const;

  const VocabularyData data_;
  std::vector<char> is_control_;                        ///< by id
  std::unordered_map<std::string_view, TokenId> text_;  ///< of those that are text; into data_
  size_t longest_ = 0;                                  ///< bytes of one of them
  LlgTokenizer* handle_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace pie::grammar
