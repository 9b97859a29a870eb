#include "store/manifest.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <sstream>

#include "base/toml_text.h"

namespace pie::store {
namespace {

Error wrong(std::string_view what) {
  std::string message = "Failed to parse manifest: ";
  message.append(what);
  return {ErrorCode::kInvalidArgument, std::move(message)};
}

Error wrong_field(std::string_view key, std::string_view expected) {
  std::string message = "[";
  message.append(key).append("] got something else, expected ").append(expected);
  return wrong(message);
}

/// A text field; "" when absent, an error when it is something else.
Result<std::string> text_field(const toml::table& table, std::string_view key) {
  const toml::node* node = table.get(key);
  if (!node) return std::string();
  if (const auto* text = node->as_string()) return text->get();
  return wrong_field(key, "text");
}

Result<std::vector<std::string>> text_list(const toml::table& table, std::string_view key) {
  std::vector<std::string> all;
  const toml::node* node = table.get(key);
  if (!node) return all;
  const auto* array = node->as_array();
  for (size_t i = 0; array && i < array->size(); ++i) {
    const auto* text = array->get(i)->as_string();
    if (!text) return wrong_field(key, "a list of texts");
    all.push_back(text->get());
  }
  if (!array) return wrong_field(key, "a list of texts");
  return all;
}

/// A list of names, or a table of names to versions ("*": any).
Result<std::vector<ProgramName>> dependencies(const toml::table& package) {
  std::vector<std::string> texts;
  if (const auto* table = package.get_as<toml::table>("dependencies")) {
    for (const auto& [key, value] : *table) {
      const auto version = value.value<std::string>();
      if (!version) return wrong("[dependencies] got no version for " + std::string(key.str()));
      texts.emplace_back(key.str());
      if (*version != "*") texts.back().append("@").append(*version);
    }
  } else {
    PIE_TRY_ASSIGN(texts, text_list(package, "dependencies"));
  }
  std::vector<ProgramName> names;
  for (const auto& text : texts) {
    auto name = ProgramName::parse(text);
    if (!name.ok()) return wrong(name.error().message);
    names.push_back(std::move(name).value());
  }
  return names;
}

Result<std::vector<InterfaceField>> fields(const toml::table& interface, std::string_view key) {
  std::vector<InterfaceField> all;
  const toml::node* node = interface.get(key);
  if (!node) return all;
  const auto* array = node->as_array();
  if (!array) return wrong_field(key, "a list of tables");
  for (const auto& item : *array) {
    const auto* table = item.as_table();
    if (!table) return wrong_field(key, "a list of tables");
    InterfaceField field;
    PIE_TRY_ASSIGN(field.name, text_field(*table, "name"));
    PIE_TRY_ASSIGN(field.type, text_field(*table, "type"));
    PIE_TRY_ASSIGN(field.description, text_field(*table, "description"));
    field.optional = (*table)["optional"].value_or(false);
    all.push_back(std::move(field));
  }
  return all;
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view text) {
  const auto ascii = ascii_toml(text);
  if (!ascii.ok()) return wrong(ascii.error().message);
  const toml::parse_result parsed = toml::parse(*ascii);
  if (!parsed) {
    std::ostringstream where;
    where << parsed.error().description() << " (line " << parsed.error().source().begin.line << ")";
    return wrong(where.str());
  }
  const toml::table& root = parsed.table();
  const auto* package = root.get_as<toml::table>("package");
  if (!package) return wrong("[package] got no such table, expected one with name and version");
  Manifest manifest;
  PIE_TRY_ASSIGN(const std::string name, text_field(*package, "name"));
  PIE_TRY_ASSIGN(const std::string version, text_field(*package, "version"));
  auto parsed_name = ProgramName::parse(name);
  if (!parsed_name.ok()) return wrong(parsed_name.error().message);
  if (parsed_name->version) return wrong("[package.name] got a version, expected it in 'version'");
  manifest.name = std::move(parsed_name).value();
  auto parsed_version = Version::parse(version);
  if (!parsed_version.ok()) return wrong(parsed_version.error().message);
  manifest.name.version = parsed_version->text();
  PIE_TRY_ASSIGN(manifest.description, text_field(*package, "description"));
  PIE_TRY_ASSIGN(manifest.authors, text_list(*package, "authors"));
  PIE_TRY_ASSIGN(manifest.repository, text_field(*package, "repository"));
  PIE_TRY_ASSIGN(manifest.readme, text_field(*package, "readme"));
  PIE_TRY_ASSIGN(manifest.keywords, text_list(*package, "keywords"));
  PIE_TRY_ASSIGN(manifest.dependencies, dependencies(*package));
  if (const auto* engine = root.get_as<toml::table>("engine")) {
    PIE_TRY_ASSIGN(manifest.engine_min_version, text_field(*engine, "min_version"));
  }
  if (const auto* interface = root.get_as<toml::table>("interface")) {
    PIE_TRY_ASSIGN(manifest.inputs, fields(*interface, "inputs"));
    PIE_TRY_ASSIGN(manifest.outputs, fields(*interface, "outputs"));
  }
  return manifest;
}

}  // namespace pie::store
