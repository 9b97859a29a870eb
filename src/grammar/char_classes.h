#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "grammar/gbnf_syntax.h"

namespace pie::grammar {

/// Classes of characters, one bit each.
class ClassSet {
 public:
  explicit ClassSet(size_t class_count = 0) : words_((class_count + 63) / 64, 0) {}
  void add(size_t one) { words_[one / 64] |= uint64_t{1} << (one % 64); }
  bool has(size_t one) const { return (words_[one / 64] >> (one % 64) & 1) != 0; }
  /// Whether it has become larger.
  bool add_all(const ClassSet& other) {
    uint64_t more = 0;
    for (size_t i = 0; i < words_.size(); ++i) {
      more |= other.words_[i] & ~words_[i];
      words_[i] |= other.words_[i];
    }
    return more != 0;
  }
  bool meets(const ClassSet& other) const {
    for (size_t i = 0; i < words_.size(); ++i)
      if ((words_[i] & other.words_[i]) != 0) return true;
    return false;
  }
  size_t word_count() const { return words_.size(); }

 private:
  std::vector<uint64_t> words_;
};

/// All characters, parted so that each part of a grammar that is characters is whole classes.
class CharClasses {
 public:
  /// kInvalidArgument when there are too many.
  static Result<CharClasses> of(const GbnfGrammar& grammar);
  size_t count() const { return begins_.size(); }
  ClassSet set_of(const GbnfNode::Ranges& chars) const;

 private:
  std::map<uint32_t, size_t> begins_;  ///< first character -> class
};

/// What the choice of terminals may take.
class WorkLimit {
 public:
  /// kInvalidArgument when it is too much.
  Result<void> take(size_t units) {
    if (units <= left_) {
      left_ -= units;
      return {};
    }
    return Error{ErrorCode::kInvalidArgument,
                 "[gbnf] got a grammar that takes too long to prepare, expected a simpler one"};
  }

 private:
  size_t left_ = 50'000'000;  ///< about a nanosecond each
};

}  // namespace pie::grammar
