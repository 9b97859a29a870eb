#include "base/toml_text.h"

#include <string>
#include <utility>

#include "base/utf8.h"

namespace pie {
namespace {

/// Follows quotes and comments through the text, one byte after the other.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  /// What is wrong at the first byte that is, or null.
  const char* scan() {
    for (; at_ < text_.size(); ++at_) {
      const auto byte = static_cast<unsigned char>(text_[at_]);
      const bool begins_line = std::exchange(begins_line_, begins_line_ && is_space(text_[at_]));
      if (byte == '\n') {
        ++line_;
        if (quote_.size() != 3) quote_ = {};
        begins_line_ = quote_.empty();
      } else if (begins_line && open_.empty() && byte == '[' && !is_header()) {
        return "a table header without a name";
      } else if (quote_.empty() && (byte == ']' || byte == '}') && !closes(text_[at_])) {
        return "a bracket that closes nothing";
      } else if ((byte < 0x20 && byte != '\t' && byte != '\r') || byte == 0x7f) {
        return "a control character";
      } else if (quote_.empty() && byte >= 0x80) {
        return "a character beyond ASCII without quotes around it";
      } else {
        step(text_[at_]);
      }
    }
    return nullptr;
  }
  size_t line() const { return line_; }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\t'; }

  bool closes(char c) const { return !open_.empty() && open_.back() == c; }

  /// Whether what follows the bracket can be a table's name (or the bracket that ends it).
  bool is_header() const {
    size_t at = at_ + 1;
    while (at < text_.size() && is_space(text_[at])) ++at;
    if (at < text_.size() && text_[at] == '[') ++at;
    while (at < text_.size() && is_space(text_[at])) ++at;
    if (at == text_.size()) return true;
    const char c = text_[at];
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-\"']").find(c) != std::string_view::npos;
  }

  void step(char c) {
    if (quote_ == "#") return;
    if (!quote_.empty()) {
      if (c == '\\' && quote_.front() == '"') {
        // The escaped byte is no quote; a line feed is counted by the next round.
        if (at_ + 1 < text_.size() && (text_[at_ + 1] == '"' || text_[at_ + 1] == '\\')) ++at_;
      } else if (text_.substr(at_).starts_with(quote_)) {
        at_ += quote_.size() - 1;
        quote_ = {};
      }
    } else if (c == '#') {
      quote_ = text_.substr(at_, 1);
    } else if (c == '"' || c == '\'') {
      const bool is_triple = text_.substr(at_, 3) == std::string(3, c);
      quote_ = text_.substr(at_, is_triple ? 3 : 1);
      at_ += quote_.size() - 1;
    } else if (c == '[' || c == '{') {
      open_ += c == '[' ? ']' : '}';
    } else if (c == ']' || c == '}') {
      open_.pop_back();
    }
  }

  const std::string_view text_;
  size_t at_ = 0;
  std::string open_;  ///< what closes the open brackets and braces
  bool begins_line_ = true;
  size_t line_ = 1;
  std::string_view quote_;  ///< what ends the quoted part, "#" in a comment
};

}  // namespace

Result<void> check_toml_text(std::string_view text) {
  if (!is_utf8(text))
    return Error{ErrorCode::kInvalidArgument, "got bytes that are not UTF-8, expected text"};
  Scanner scanner(text);
  const char* wrong = scanner.scan();
  if (wrong == nullptr) return {};
  return Error{ErrorCode::kInvalidArgument, std::string("got ") + wrong + " (line " +
                                                std::to_string(scanner.line()) +
                                                "), expected TOML 1.0"};
}

}  // namespace pie
