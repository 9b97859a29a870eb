#include "server/config_text.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include "server/settings.h"

namespace pie::server {
namespace {

std::string trimmed(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t");
  return first == std::string_view::npos ? "" : std::string(line.substr(first));
}

/// Whether the line sets `name`.
bool sets(const std::string& line, std::string_view name) {
  const std::string text = trimmed(line);
  if (!text.starts_with(name)) return false;
  const size_t next = text.find_first_not_of(" \t", name.size());
  return next != std::string::npos && text[next] == '=';
}

/// The comment at the end of a line, with the blanks before it.
std::string comment_of(const std::string& line) {
  char quote = '\0';
  for (size_t i = 0; i < line.size(); ++i) {
    if (quote != '\0') {
      if (line[i] == '\\' && quote == '"')
        ++i;
      else if (line[i] == quote)
        quote = '\0';
    } else if (line[i] == '"' || line[i] == '\'') {
      quote = line[i];
    } else if (line[i] == '#') {
      const size_t text_end = line.find_last_not_of(" \t", i == 0 ? 0 : i - 1);
      return line.substr(text_end == std::string::npos ? i : text_end + 1);
    }
  }
  return "";
}

}  // namespace

std::string initial_config_text() {
  Config defaults;
  std::string text =
      "# Pie's configuration. What is commented out has the value that stands there.\n"
      "# Flags win over environment variables, those over this file: pie config show --origin\n";
  std::string_view section;
  for (const Setting& one : settings(defaults)) {
    if (one.section != section) text += "\n[" + std::string(section = one.section) + "]\n";
    text +=
        "# " + std::string(one.help) + "\n# " + std::string(one.name) + " = " + one.toml() + "\n";
  }
  return text;
}

Result<std::string> change_config_text(std::string text, std::string_view key,
                                       std::string_view value) {
  Config scratch;
  PIE_TRY_ASSIGN(Setting setting, find_setting(scratch, key));
  PIE_TRY(setting.set(value));
  const std::string fresh = std::string(setting.name) + " = " + setting.toml();
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  // The section's lines: from its header (or the top) to the next header.
  const auto is_header = [](const std::string& line) { return trimmed(line).starts_with("["); };
  auto begin = lines.begin();
  if (!setting.section.empty()) {
    const std::string header = "[" + std::string(setting.section) + "]";
    begin = std::find_if(lines.begin(), lines.end(),
                         [&](const auto& line) { return trimmed(line).starts_with(header); });
    if (begin == lines.end()) {
      lines.insert(lines.end(), {"", header});
      begin = lines.end() - 1;
    }
    ++begin;
  }
  const auto end = std::find_if(begin, lines.end(), is_header);
  const auto old =
      std::find_if(begin, end, [&](const auto& line) { return sets(line, setting.name); });
  if (old != end) {
    *old = fresh + comment_of(*old);
  } else {
    auto at = end;
    while (at != begin && trimmed(*(at - 1)).empty()) --at;
    lines.insert(at, fresh);
  }
  std::string out;
  for (const auto& line : lines) out += line + "\n";
  return out;
}

}  // namespace pie::server
