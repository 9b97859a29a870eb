#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pie/result.h"

namespace inferlet {

/// Reads `--name value`, `--name=value` and `-n value`. Declare the options, then parse:
///
///     std::string prompt;
///     int64_t max_tokens = 256;
///     ArgumentParser parser;
///     parser.text("prompt", 'p', &prompt).number("max-tokens", 'n', &max_tokens, 1);
///     if (auto parsed = parser.parse(arguments); !parsed) return fail(parsed.error());
///
/// A variable keeps its value when its option is not given. A bool takes no value.
class ArgumentParser {
 public:
  using Target = std::variant<std::string*, int64_t*, double*, bool*>;

  /// `letter` 0: no short form.
  ArgumentParser& option(std::string name, char letter, Target target);
  /// A text that must be there and not be empty.
  ArgumentParser& text(std::string name, char letter, std::string* target);
  /// A number from `least` to `most`.
  ArgumentParser& number(std::string name, char letter, int64_t* target, int64_t least,
                         int64_t most = INT64_MAX);
  /// The error names the argument, what it got and what it expected, and lists the options.
  Result<void> parse(std::span<const std::string> arguments);
  /// What was given without an option.
  const std::vector<std::string>& positional() const { return positional_; }

 private:
  struct Option {
    std::string name;
    char letter;
    Target target;
    bool is_required = false;
    int64_t least = INT64_MIN, most = INT64_MAX;
  };
  static Result<void> check(const Option& option);
  const Option* find(std::string_view argument) const;
  std::string usage() const;

  std::vector<Option> options_;
  std::vector<std::string> positional_;
};

}  // namespace inferlet
