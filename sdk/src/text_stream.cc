#include "pie/text_stream.h"

#include <string_view>

namespace inferlet {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
/// A character has at most four bytes, so one that is not whole after this many tokens never will
/// be.
constexpr size_t kWindowMax = 8;

}  // namespace

std::string TextStream::push(uint32_t token) {
  window_.push_back(token);
  const std::string text = tokenizer_->detokenize(window_);
  // The host puts U+FFFD where bytes are no character; at the end these may be the first bytes of
  // one.
  size_t whole = text.size();
  if (window_.size() < kWindowMax) {
    while (std::string_view(text).substr(0, whole).ends_with(kReplacement)) {
      whole -= kReplacement.size();
    }
  }
  std::string out = whole > shown_ ? text.substr(shown_, whole - shown_) : std::string();
  if (whole == text.size()) {
    window_.clear();
    shown_ = 0;
  } else if (whole > shown_) {
    shown_ = whole;
  }
  return out;
}

std::string TextStream::finish() {
  if (window_.empty()) return {};
  const std::string text = tokenizer_->detokenize(window_);
  std::string out = text.size() > shown_ ? text.substr(shown_) : std::string();
  window_.clear();
  shown_ = 0;
  return out;
}

}  // namespace inferlet
