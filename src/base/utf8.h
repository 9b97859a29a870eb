#pragma once
#include <string>
#include <string_view>

namespace pie {

/// Whether the bytes are well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates).
bool is_utf8(std::string_view bytes);

/// The text with each byte that is not part of a well-formed sequence replaced by U+FFFD.
std::string to_utf8(std::string_view bytes);

/// The text, if it has at most `bytes_max` bytes; else what fits of it, cut at a character, and
/// behind it "… (N bytes more)". Takes well-formed UTF-8.
std::string shortened(std::string text, size_t bytes_max);

/// The text as a terminal may show it, whatever it is: control characters other than line breaks
/// and tabs, those that turn the direction of writing, byte order marks, and bytes that are no
/// UTF-8 become escapes, "\x1b".
std::string printable_text(std::string_view bytes);
/// The same on one line: line breaks and tabs are escaped, too.
std::string printable_line(std::string_view bytes);

/// How many bytes at the end begin a sequence that further bytes could complete (0 to 3).
size_t utf8_incomplete_suffix(std::string_view bytes);

/// Cuts a byte stream into texts that are always valid UTF-8: a character split by a write is held
/// until it is whole. Not thread-safe.
class Utf8Stream {
 public:
  /// What can be passed on of what came so far.
  std::string push(std::string_view bytes);
  /// What is still held, replaced by U+FFFD: nothing more will come.
  std::string finish();

 private:
  std::string held_;
};

}  // namespace pie
