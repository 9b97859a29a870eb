#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "pie/model.h"

namespace inferlet {

/// Turns tokens into text one by one. A character whose bytes are spread over several tokens comes
/// out whole, with the last of them. The tokenizer outlives the stream.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  /// The text that is complete with this token; may be empty.
  std::string push(uint32_t token);
  /// What is left: U+FFFD for a character that never became whole.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::vector<uint32_t> window_;  ///< tokens since the last boundary of characters
  size_t shown_ = 0;              ///< bytes of the window's text that were given out
};

}  // namespace inferlet
