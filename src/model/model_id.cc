#include "model/model_id.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <regex>

namespace pie::model {
namespace {

/// Lower case; every run of other characters than letters, digits, '.' and '_' is one '-'.
std::string slug(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '.' || c == '_') {
      out += static_cast<char>(std::tolower(byte));
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
  }
  while (!out.empty() && (out.back() == '-' || out.back() == '.')) out.pop_back();
  return out;
}

/// The stem of a slugged file name without part number and quantisation. The names of quantisations
/// are those of llama.cpp's file types, with the suffixes that publishers add.
std::string without_suffixes(std::string stem) {
  static const std::regex kPart("-[0-9]{5}-of-[0-9]{5}$");
  static const std::regex kQuantisation(
      "[-._](ud-)?(i1-)?(i?q[1-8](_[0-9a-z]+)*|tq[12]_0|mxfp4(_moe)?|nvfp4|b?f16|fp16|f32|fp32)$");
  stem = std::regex_replace(stem, kPart, "");
  return std::regex_replace(stem, kQuantisation, "");
}

bool says_nothing(const std::string& id) {
  static const std::array<std::string_view, 6> kGeneric = {"",     "model",      "ggml-model",
                                                           "gguf", "ggml_model", "weights"};
  if (std::find(kGeneric.begin(), kGeneric.end(), id) != kGeneric.end()) return true;
  static const std::regex kHash("(sha256-)?[0-9a-f]{32,}");
  return std::regex_match(id, kHash);
}

}  // namespace

std::string short_model_id(const std::filesystem::path& path, const NameParts& parts) {
  std::string name = path.filename().string();
  if (path.extension() == ".gguf") name.resize(name.size() - std::string_view(".gguf").size());
  // Long names are cut: std::regex recurses per character.
  std::string id = without_suffixes(slug(std::string_view(name).substr(0, 200)));
  if (!says_nothing(id)) return id;
  std::string joined = parts.basename;
  for (const std::string* part : {&parts.size_label, &parts.finetune}) {
    if (!joined.empty() && !part->empty()) joined += "-" + *part;
  }
  for (const std::string& candidate : {joined, parts.name}) {
    id = slug(std::string_view(candidate).substr(0, 200));
    if (!id.empty()) return id;
  }
  return "model";
}

}  // namespace pie::model
