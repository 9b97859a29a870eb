#include "grammar/char_classes.h"

#include <fmt/format.h>

namespace pie::grammar {
namespace {

constexpr size_t kClassesMax = 2'048;

void add_begins(const GbnfNode& node, std::map<uint32_t, size_t>& begins) {
  for (const auto& [first, last] : node.chars) {
    begins[first] = 0;
    begins[last + 1] = 0;
  }
  for (const GbnfNode& part : node.parts) add_begins(part, begins);
}

}  // namespace

Result<CharClasses> CharClasses::of(const GbnfGrammar& grammar) {
  CharClasses classes;
  for (const GbnfRule& rule : grammar.rules) add_begins(rule.body, classes.begins_);
  if (classes.begins_.size() > kClassesMax)
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("[gbnf] got {} different characters and ends of ranges, expected at most {}",
                    classes.begins_.size(), kClassesMax)};
  size_t next = 0;
  for (auto& [begin, number] : classes.begins_) number = next++;
  return classes;
}

ClassSet CharClasses::set_of(const GbnfNode::Ranges& chars) const {
  ClassSet set(count());
  for (const auto& [first, last] : chars)
    for (auto one = begins_.find(first); one != begins_.end() && one->first <= last; ++one)
      set.add(one->second);
  return set;
}

}  // namespace pie::grammar
