#include "grammar/library_text.h"

#include "base/utf8.h"

namespace pie::grammar {

std::string library_text(std::string_view said) {
  constexpr size_t kBytesMax = 600;
  for (const std::string_view end : {"\n<non-verbose/>", "\n<backtrace>", "\n<state>"})
    said = said.substr(0, said.find(end));
  constexpr std::string_view kPanic = "panic: ";
  if (said.starts_with(kPanic)) said.remove_prefix(kPanic.size());
  while (!said.empty() && said.back() == '\n') said.remove_suffix(1);
  if (said == "NoExtensionBias") return "there is no text that the grammar allows";
  // What it knows and cannot enforce, in our words: some of its advice is for who calls it in Rust.
  constexpr std::string_view kCannot = "got keywords that cannot be enforced: ";
  constexpr std::string_view kKeys = "Unimplemented keys: ", kFormat = "Unknown format: ";
  std::string_view what, rest = said;
  if (said.starts_with(kKeys)) {
    what = kCannot;
    rest = said.substr(kKeys.size());
  } else if (said.starts_with(kFormat)) {
    what = "got a \"format\" that cannot be enforced: ";
    rest = said.substr(kFormat.size());
  } else if (said.starts_with("oneOf constraints are not supported")) {
    what = kCannot;
    rest = "[\"oneOf\"] of schemas that may hold at once; use \"anyOf\"";
  }
  return std::string(what) + shortened(to_utf8(rest.substr(0, 4 * kBytesMax)), kBytesMax);
}

}  // namespace pie::grammar
