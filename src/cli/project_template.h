#pragma once
#include <span>
#include <string_view>

namespace pie::cli {

/// One file of a new project; NAME stands for the program's name in both.
struct TemplateFile {
  const char* path;
  const char* text;
};

/// The files that `pie new` makes for a language: "cpp" or "python"; none for another one.
std::span<const TemplateFile> project_template(std::string_view language);

}  // namespace pie::cli
