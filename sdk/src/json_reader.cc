// Json::parse.
#include <charconv>
#include <cstdint>
#include <cstdlib>

#include "pie/json.h"

namespace inferlet {
namespace {

constexpr size_t kDepthMax = 128;

void append_utf8(std::string& out, uint32_t c) {
  const auto tail = [&](uint32_t shift) {
    out += static_cast<char>(0x80U | ((c >> shift) & 0x3FU));
  };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0U | (c >> 6U));
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0U | (c >> 12U));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0U | (c >> 18U));
    tail(12);
    tail(6);
    tail(0);
  }
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<Json> whole() {
    Json value;
    skip_spaces();
    if (!read(value, 0)) return fail(why());
    skip_spaces();
    if (at_ != text_.size()) {
      expect("the end");
      return fail(why());
    }
    return value;
  }

 private:
  bool expect(const char* what) {
    if (expected_ == nullptr) expected_ = what;
    return false;
  }
  std::string why() const {
    const std::string got =
        at_ < text_.size() ? "'" + std::string(text_.substr(at_, 1)) + "'" : "the end";
    return "[JSON] got " + got + " at byte " + std::to_string(at_) + ", expected " + expected_;
  }
  void skip_spaces() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").contains(text_[at_])) ++at_;
  }
  bool take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take_word(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  bool read(Json& out, size_t depth) {
    if (depth > kDepthMax) return expect("at most 128 levels");
    if (at_ == text_.size()) return expect("a value");
    const char c = text_[at_];
    if (c == '{') return read_object(out, depth);
    if (c == '[') return read_array(out, depth);
    if (c == '"') {
      std::string text;
      if (!read_text(text)) return false;
      out = std::move(text);
      return true;
    }
    if (take_word("null")) return out = Json(), true;
    if (take_word("true")) return out = true, true;
    if (take_word("false")) return out = false, true;
    return read_number(out);
  }

  bool read_object(Json& out, size_t depth) {
    Json::Object members;
    ++at_;
    skip_spaces();
    if (!take('}')) {
      do {
        skip_spaces();
        if (at_ == text_.size() || text_[at_] != '"') return expect("a name in quotes");
        auto& [name, value] = members.emplace_back();
        if (!read_text(name)) return false;
        skip_spaces();
        if (!take(':')) return expect("':'");
        skip_spaces();
        if (!read(value, depth + 1)) return false;
        skip_spaces();
      } while (take(','));
      if (!take('}')) return expect("',' or '}'");
    }
    out = std::move(members);
    return true;
  }

  bool read_array(Json& out, size_t depth) {
    Json::Array items;
    ++at_;
    skip_spaces();
    if (!take(']')) {
      do {
        skip_spaces();
        if (!read(items.emplace_back(), depth + 1)) return false;
        skip_spaces();
      } while (take(','));
      if (!take(']')) return expect("',' or ']'");
    }
    out = std::move(items);
    return true;
  }

  bool read_unit(uint32_t& out) {
    const char* begin = text_.data() + at_;
    if (text_.size() - at_ < 4) return expect("four hexadecimal digits");
    const auto [end, error] = std::from_chars(begin, begin + 4, out, 16);
    if (error != std::errc() || end != begin + 4) return expect("four hexadecimal digits");
    at_ += 4;
    return true;
  }

  bool read_escape(std::string& out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    if (at_ == text_.size()) return expect("an escape");
    const char c = text_[at_];
    if (const size_t i = kLetters.find(c); i != std::string_view::npos) {
      ++at_;
      out += kMeant[i];
      return true;
    }
    if (!take('u')) return expect("an escape");
    uint32_t unit = 0;
    if (!read_unit(unit)) return false;
    if (unit >= 0xD800 && unit < 0xDC00) {
      uint32_t low = 0;
      if (!take_word("\\u") || !read_unit(low)) return expect("the second half of a character");
      if (low < 0xDC00 || low > 0xDFFF) return expect("the second half of a character");
      unit = 0x10000 + ((unit - 0xD800) << 10U) + (low - 0xDC00);
    } else if (unit >= 0xDC00 && unit < 0xE000) {
      return expect("the first half of a character before its second");
    }
    append_utf8(out, unit);
    return true;
  }

  bool read_text(std::string& out) {
    ++at_;
    while (at_ < text_.size()) {
      if (take('"')) return true;
      if (take('\\')) {
        if (!read_escape(out)) return false;
      } else if (static_cast<unsigned char>(text_[at_]) < 0x20) {
        return expect("no control characters in a string");
      } else {
        out += text_[at_++];
      }
    }
    return expect("'\"'");
  }

  bool read_digits() {
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ > begin || expect("a value");
  }

  bool read_number(Json& out) {
    const size_t begin = at_;
    bool is_whole = true;
    take('-');
    const bool begins_with_zero = take('0');
    if (!begins_with_zero && !read_digits()) return false;
    if (take('.')) {
      is_whole = false;
      if (!read_digits()) return false;
    }
    if (take('e') || take('E')) {
      is_whole = false;
      if (!take('+')) take('-');
      if (!read_digits()) return false;
    }
    const std::string number(text_.substr(begin, at_ - begin));
    int64_t whole = 0;
    const char* end = number.data() + number.size();
    if (is_whole && std::from_chars(number.data(), end, whole).ec == std::errc()) {
      out = whole;
    } else {
      out = std::strtod(number.c_str(), nullptr);
    }
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  const char* expected_ = nullptr;
};

}  // namespace

Result<Json> Json::parse(std::string_view text) { return Reader(text).whole(); }

}  // namespace inferlet
