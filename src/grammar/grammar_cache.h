#pragma once
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/result.h"
#include "grammar/grammar.h"

namespace pie::grammar {

/// The grammars of one model, compiled once for each text; those that were used last are kept.
/// Thread-safe; a call takes as long as compiling does, or as preparing the vocabulary does the
/// first time.
class GrammarCache {
 public:
  /// `vocabulary` is called once, for the first grammar; `bytes_max` bounds what is kept, by
  /// Grammar::bytes().
  GrammarCache(std::function<VocabularyData()> vocabulary, uint64_t bytes_max)
      : make_vocabulary_(std::move(vocabulary)), bytes_max_(bytes_max) {}

  /// As Grammar::compile.
  Result<std::shared_ptr<const Grammar>> get(GrammarKind kind, const std::string& text,
                                             uint64_t* cpu_ns = nullptr);

 private:
  using Key = std::pair<GrammarKind, std::string>;
  struct Entry {
    std::shared_ptr<const Grammar> grammar;
    std::list<const Key*>::iterator place;  ///< in order_
  };
  Result<std::shared_ptr<const Vocabulary>> vocabulary();
  std::shared_ptr<const Grammar> find(const Key& key);
  void keep(const Key& key, std::shared_ptr<const Grammar> grammar);
  static uint64_t bytes_of(const Key& key, const Grammar& grammar) {
    return key.second.size() + grammar.bytes();
  }

  const std::function<VocabularyData()> make_vocabulary_;
  const uint64_t bytes_max_;
  std::mutex vocabulary_mutex_;
  std::shared_ptr<const Vocabulary> vocabulary_;
  std::mutex mutex_;
  std::map<Key, Entry> entries_;
  std::list<const Key*> order_;  ///< the one that was used last comes first
  uint64_t bytes_ = 0;
};

}  // namespace pie::grammar
