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
  // Its names for a state from which no text goes on, and for what it knows and cannot enforce.
  if (said == "NoExtensionBias") return "there is no text that the grammar allows";
  constexpr std::string_view kKeys = "Unimplemented keys: ";
  if (said.starts_with(kKeys))
    return "got keywords that cannot be enforced: " +
           shortened(to_utf8(said.substr(kKeys.size(), 4 * kBytesMax)), kBytesMax);
  return shortened(to_utf8(said.substr(0, 4 * kBytesMax)), kBytesMax);
}

}  // namespace pie::grammar
