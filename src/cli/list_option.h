#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace pie::cli {

/// An option that may be given several times, one value each time. (CLI11's own options of vectors
/// take every word that follows, the command's other arguments among them.)
template <class T>
CLI::Option* add_list_option(CLI::App& command, const std::string& name, std::vector<T>& values,
                             const std::string& help) {
  return command.add_option(name, values, help)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

}  // namespace pie::cli
