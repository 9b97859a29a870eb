#include "pie/stop.h"

#include <algorithm>
#include <utility>

namespace inferlet {

Stop Stop::max_len(size_t count) {
  Stop stop;
  stop.max_len_ = count;
  return stop;
}

Stop Stop::ends_with_any(std::vector<std::vector<uint32_t>> sequences) {
  Stop stop;
  std::erase_if(sequences, [](const auto& sequence) { return sequence.empty(); });
  stop.sequences_ = std::move(sequences);
  return stop;
}

Stop Stop::end_of_turn(const Model& model) {
  const Tokenizer tokenizer = model.tokenizer();
  std::vector<std::vector<uint32_t>> sequences;
  for (const std::string& text : model.stop_tokens()) sequences.push_back(tokenizer.tokenize(text));
  return ends_with_any(std::move(sequences));
}

Stop Stop::when(Condition condition) {
  Stop stop;
  stop.rule_ = [condition = std::move(condition)](std::span<const uint32_t> generated) {
    return Verdict{.stop = condition(generated)};
  };
  return stop;
}

Stop operator|(Stop a, const Stop& b) {
  a.max_len_ = std::min(a.max_len_, b.max_len_);
  a.sequences_.insert(a.sequences_.end(), b.sequences_.begin(), b.sequences_.end());
  if (!a.rule_) {
    a.rule_ = b.rule_;
  } else if (b.rule_) {
    a.rule_ = [first = a.rule_, second = b.rule_](std::span<const uint32_t> generated) {
      const Stop::Verdict verdict = first(generated), other = second(generated);
      if (verdict.stop) return verdict;
      return other.stop ? other : Stop::Verdict{false, std::max(verdict.withheld, other.withheld)};
    };
  }
  return a;
}

Stop operator&(Stop a, Stop b) {
  Stop stop;
  stop.rule_ = [a = std::move(a), b = std::move(b)](std::span<const uint32_t> generated) {
    const Stop::Verdict first = a.check(generated), second = b.check(generated);
    return Stop::Verdict{first.stop && second.stop, std::max(first.withheld, second.withheld)};
  };
  return stop;
}

Stop::Verdict Stop::check(std::span<const uint32_t> generated) const {
  Verdict verdict;
  for (const std::vector<uint32_t>& sequence : sequences_) {
    // The longest beginning of the sequence with which the tokens end.
    size_t length = std::min(sequence.size(), generated.size());
    while (length > 0 &&
           !std::equal(sequence.begin(), sequence.begin() + static_cast<ptrdiff_t>(length),
                       generated.end() - static_cast<ptrdiff_t>(length))) {
      --length;
    }
    if (length == sequence.size()) return {.stop = true, .withheld = length};
    verdict.withheld = std::max(verdict.withheld, length);
  }
  if (rule_) {
    const Verdict other = rule_(generated);
    if (other.stop) return other;
    verdict.withheld = std::max(verdict.withheld, other.withheld);
  }
  if (generated.size() >= max_len_) verdict = {.stop = true, .withheld = 0};
  return verdict;
}

}  // namespace inferlet
