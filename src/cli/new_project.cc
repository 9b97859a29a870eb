#include "cli/new_project.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "cli/project_template.h"

namespace pie::cli {
namespace {

namespace fs = std::filesystem;

bool is_name(std::string_view name) {
  constexpr size_t kSizeMax = 64;
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= kSizeMax && is_letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return is_letter(c) || c == '-' || c == '_'; });
}

std::string with_name(std::string text, const std::string& name) {
  constexpr std::string_view kPlace = "NAME";
  for (size_t at = text.find(kPlace); at != std::string::npos;
       at = text.find(kPlace, at + name.size()))
    text.replace(at, kPlace.size(), name);
  return text;
}

Error failed(const fs::path& path, const std::error_code& why) {
  return Error{ErrorCode::kInternal, "[new] " + path.string() + ": " + why.message()};
}

}  // namespace

Result<void> new_project(const NewOptions& options) {
  fs::path folder = options.folder;
  if (!folder.has_filename()) folder = folder.parent_path();  // "name/"
  const std::string name = folder.filename().string();
  if (!is_name(name))
    return Error{
        ErrorCode::kInvalidArgument,
        "[new] got the name '" + name +
            "', expected small letters, digits, - and _, beginning with a letter or digit"};
  const std::span<const TemplateFile> files = project_template(options.language);
  if (files.empty())
    return Error{ErrorCode::kInvalidArgument,
                 "[new] got --lang " + options.language + ", expected cpp or python"};
  std::error_code why;
  if (fs::exists(fs::symlink_status(folder, why)))
    return Error{ErrorCode::kAlreadyExists,
                 "[new] " + folder.string() + " is there already, expected a name that is free"};
  fs::create_directories(folder, why);
  if (why) return failed(folder, why);
  for (const TemplateFile& file : files)
    PIE_TRY(write_file_atomically(folder / with_name(file.path, name), with_name(file.text, name)));
  return {};
}

}  // namespace pie::cli
