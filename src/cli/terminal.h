#pragma once
#include <cstdio>
#include <string>
#include <string_view>

namespace pie::cli {

enum class Colour { kRed, kGreen, kYellow, kBlue, kDim };

/// Whether `stream` is a terminal that shows colours: NO_COLOR is not set and TERM is not "dumb".
bool shows_colours(std::FILE* stream);
/// `text` in a colour where `stream` shows colours, else as it is.
std::string paint(std::FILE* stream, Colour colour, std::string_view text);

/// Ctrl-D on standard input, as far as that is a terminal and this process is in its foreground. A
/// pipe, a file or /dev/null that ends is no Ctrl-D; neither is read. What is typed is dropped.
class DetachKey {
 public:
  DetachKey();
  bool is_terminal() const { return is_terminal_; }
  /// Whether it was pressed since the last call (or the terminal is gone). Does not block.
  bool pressed() const;

 private:
  bool is_terminal_;
};

}  // namespace pie::cli
