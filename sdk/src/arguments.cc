#include "pie/arguments.h"

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <type_traits>
#include <utility>

namespace inferlet {
namespace {

Result<void> assign(const ArgumentParser::Target& target, const std::string& name,
                    const std::string& value) {
  if (auto* const* text = std::get_if<std::string*>(&target)) {
    **text = value;
    return {};
  }
  char* end = nullptr;
  errno = 0;
  if (auto* const* whole = std::get_if<int64_t*>(&target)) {
    const int64_t number = std::strtoll(value.c_str(), &end, 10);
    if (value.empty() || *end != '\0' || errno != 0) {
      return fail("[--" + name + "] got '" + value + "', expected a whole number");
    }
    **whole = number;
  } else if (auto* const* real = std::get_if<double*>(&target)) {
    const double number = std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0' || errno != 0) {
      return fail("[--" + name + "] got '" + value + "', expected a number");
    }
    **real = number;
  }
  return {};
}

bool looks_like_option(std::string_view argument) {
  if (argument.starts_with("--")) return argument.size() > 2;
  // "-5" is a number, not an option.
  return argument.size() == 2 && argument[0] == '-' && !(argument[1] >= '0' && argument[1] <= '9');
}

}  // namespace

ArgumentParser& ArgumentParser::option(std::string name, char letter, Target target) {
  options_.push_back({.name = std::move(name), .letter = letter, .target = target});
  return *this;
}

ArgumentParser& ArgumentParser::text(std::string name, char letter, std::string* target) {
  options_.push_back({std::move(name), letter, target, true});
  return *this;
}

ArgumentParser& ArgumentParser::number(std::string name, char letter, int64_t* target,
                                       int64_t least, int64_t most) {
  options_.push_back({std::move(name), letter, target, false, least, most});
  return *this;
}

/// What its variable has by now.
Result<void> ArgumentParser::check(const Option& option) {
  if (option.is_required && std::get<std::string*>(option.target)->empty())
    return fail("[--" + option.name + "] got nothing, expected a text");
  const auto* const* number = std::get_if<int64_t*>(&option.target);
  if (number == nullptr || (**number >= option.least && **number <= option.most)) return {};
  return fail("[--" + option.name + "] got " + std::to_string(**number) + ", expected " +
              std::to_string(option.least) +
              (option.most == INT64_MAX ? " or more" : " to " + std::to_string(option.most)));
}

const ArgumentParser::Option* ArgumentParser::find(std::string_view argument) const {
  for (const Option& option : options_) {
    if (argument.starts_with("--") ? argument.substr(2) == option.name
                                   : option.letter != 0 && argument[1] == option.letter) {
      return &option;
    }
  }
  return nullptr;
}

std::string ArgumentParser::usage() const {
  std::string text;
  for (const Option& option : options_) {
    text += (text.empty() ? "--" : ", --") + option.name;
    if (option.letter != 0) text += std::string(" (-") + option.letter + ")";
  }
  return text.empty() ? "no options" : text;
}

Result<void> ArgumentParser::parse(std::span<const std::string> arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!looks_like_option(argument)) {
      positional_.push_back(argument);
      continue;
    }
    std::string name = argument;
    std::optional<std::string> value;
    if (const size_t equals = argument.find('=');
        argument.starts_with("--") && equals != std::string::npos) {
      name = argument.substr(0, equals);
      value = argument.substr(equals + 1);
    }
    const Option* option = find(name);
    if (option == nullptr) return fail("[arguments] got '" + name + "', expected " + usage());
    if (auto* const* flag = std::get_if<bool*>(&option->target); flag != nullptr && !value) {
      **flag = true;
      continue;
    }
    if (std::holds_alternative<bool*>(option->target)) {
      return fail("[" + name + "] got the value '" + *value + "', expected none");
    }
    if (!value) {
      if (i + 1 == arguments.size()) return fail("[" + name + "] got nothing, expected a value");
      value = arguments[++i];
    }
    if (auto done = assign(option->target, option->name, *value); !done) return done;
  }
  for (const Option& option : options_) {
    if (auto done = check(option); !done) return done;
  }
  return {};
}

}  // namespace inferlet
