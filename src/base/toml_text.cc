#include "base/toml_text.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "base/utf8.h"

namespace pie {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t'; }

bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_-\"']").find(c) != std::string_view::npos;
}

/// Rewrites a document while it follows quotes, comments and brackets. The text is valid UTF-8.
class Rewriter {
 public:
  explicit Rewriter(std::string_view text) : text_(text) {}

  /// What is wrong at the first byte that is, or null.
  const char* run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const auto byte = static_cast<unsigned char>(c);
      if ((byte < 0x20 && c != '\t' && c != '\r' && c != '\n') || byte == 0x7f)
        return "a control character";
      if (c == '\n') {
        end_line();
      } else if (kind_ == Kind::kPlain) {
        if (const char* wrong = plain(c)) return wrong;
      } else if (kind_ == Kind::kComment) {
        out_ += byte < 0x80 ? c : '?';
        ++at_;
      } else {
        quoted(c);
      }
    }
    return nullptr;
  }
  size_t line() const { return line_; }
  std::string take() { return std::move(out_); }

 private:
  enum class Kind { kPlain, kComment, kBasic, kLiteral };

  void end_line() {
    ++line_;
    ++at_;
    out_ += '\n';
    if (kind_ == Kind::kComment || quotes_ == 1) kind_ = Kind::kPlain;
    begins_line_ = kind_ == Kind::kPlain;
  }

  const char* plain(char c) {
    if (static_cast<unsigned char>(c) >= 0x80) return "a character beyond ASCII without quotes";
    const bool begins_line = std::exchange(begins_line_, begins_line_ && is_space(c));
    if (begins_line && c == '[' && open_.empty() && !is_header())
      return "a table header without a name";
    if (c == '"' || c == '\'') {
      kind_ = c == '"' ? Kind::kBasic : Kind::kLiteral;
      quotes_ = run_of(c) >= 3 ? 3 : 1;
      out_.append(quotes_, '"');
      at_ += quotes_;
      return nullptr;
    }
    if (c == '#') kind_ = Kind::kComment, quotes_ = 1;
    if (c == '[' || c == '{') open_ += c == '[' ? ']' : '}';
    if (c == ']' || c == '}') {
      if (open_.empty() || open_.back() != c) return "a bracket that closes nothing";
      open_.pop_back();
    }
    out_ += c;
    ++at_;
    return nullptr;
  }

  /// A byte between quotes.
  void quoted(char c) {
    const bool is_basic = kind_ == Kind::kBasic;
    const char quote = is_basic ? '"' : '\'';
    if (c == quote && run_of(c) >= quotes_) {
      // Of four or five quotes the first ones are text.
      const size_t count = quotes_ == 1 ? 1 : std::min<size_t>(run_of(c), 5);
      for (size_t i = quotes_; i < count; ++i) out_ += is_basic ? "\\\"" : "'";
      out_.append(quotes_, '"');
      at_ += count;
      kind_ = Kind::kPlain;
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      escape();
    } else {
      if (!is_basic && (c == '"' || c == '\\')) out_ += '\\';
      out_ += c;
      ++at_;
      const char next = at_ < text_.size() ? text_[at_] : ' ';
      if (is_basic && c == '\\' && (next == '"' || next == '\\')) out_ += next, ++at_;
    }
  }

  /// One character beyond ASCII as its escape.
  void escape() {
    const auto lead = static_cast<unsigned char>(text_[at_]);
    const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    uint32_t character = lead & (0xffU >> (bytes + 1));
    for (size_t i = 1; i < bytes; ++i)
      character = character << 6 | (static_cast<unsigned char>(text_[at_ + i]) & 0x3fU);
    char escaped[16];
    std::snprintf(escaped, sizeof escaped, "\\U%08X", static_cast<unsigned>(character));
    out_ += escaped;
    at_ += bytes;
  }

  size_t run_of(char c) const {
    const size_t end = text_.find_first_not_of(c, at_);
    return (end == std::string_view::npos ? text_.size() : end) - at_;
  }

  /// Whether what follows the bracket can be a table's name (or the bracket that ends it).
  bool is_header() const {
    size_t at = at_ + 1;
    while (at < text_.size() && is_space(text_[at])) ++at;
    if (at < text_.size() && text_[at] == '[') ++at;
    while (at < text_.size() && is_space(text_[at])) ++at;
    return at == text_.size() || begins_name(text_[at]);
  }

  const std::string_view text_;
  std::string out_;
  size_t at_ = 0;
  size_t line_ = 1;
  Kind kind_ = Kind::kPlain;
  size_t quotes_ = 1;  ///< of the string: 1 or 3
  std::string open_;   ///< what closes the open brackets and braces
  bool begins_line_ = true;
};

}  // namespace

Result<std::string> ascii_toml(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark
  if (!is_utf8(text))
    return Error{ErrorCode::kInvalidArgument, "got bytes that are not UTF-8, expected text"};
  Rewriter rewriter(text);
  const char* wrong = rewriter.run();
  if (wrong == nullptr) return rewriter.take();
  return Error{ErrorCode::kInvalidArgument, std::string("got ") + wrong + " (line " +
                                                std::to_string(rewriter.line()) +
                                                "), expected TOML 1.0"};
}

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      constexpr char kDigits[] = "0123456789ABCDEF";
      out.append("\\u00").append({kDigits[byte >> 4], kDigits[byte & 15]});
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace pie
