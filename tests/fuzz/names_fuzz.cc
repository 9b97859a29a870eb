#include "store/names.h"

#include "fuzz.h"

/// Names and versions: what is taken comes back from its own text, has no path parts, and versions
/// are ordered without contradiction.
void pie::fuzz::fuzz(std::string_view input) {
  const size_t cut = input.find('\n');
  const auto name = store::ProgramName::parse(input.substr(0, cut));
  if (name.ok()) {
    MUST(name->text().find("..") == std::string::npos || name->version.has_value());
    for (const std::string* part : {&name->ns, &name->name})
      MUST(!part->empty() && part->find_first_of("/\\.\0") == std::string::npos);
    const auto again = store::ProgramName::parse(name->text());
    MUST(again.ok() && *again == *name);
    if (name->version) MUST(name->version->find('/') == std::string::npos);
  }
  if (cut == std::string_view::npos) return;
  const auto a = store::Version::parse(input.substr(0, cut));
  const auto b = store::Version::parse(input.substr(cut + 1));
  if (!a.ok() || !b.ok()) return;
  MUST((*a < *b) == (*b > *a) && (*a == *b) == (*b == *a));
  MUST(static_cast<int>(*a < *b) + static_cast<int>(*a == *b) + static_cast<int>(*a > *b) == 1);
}
