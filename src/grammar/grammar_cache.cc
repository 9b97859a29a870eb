#include "grammar/grammar_cache.h"

namespace pie::grammar {

Result<std::shared_ptr<const Vocabulary>> GrammarCache::vocabulary() {
  const std::lock_guard lock(vocabulary_mutex_);
  if (!vocabulary_) {
    PIE_TRY_ASSIGN(vocabulary_, Vocabulary::make(make_vocabulary_()));
  }
  return vocabulary_;
}

Result<std::shared_ptr<const Grammar>> GrammarCache::get(GrammarKind kind, const std::string& text,
                                                         uint64_t* cpu_ns) {
  const Key key(kind, text);
  if (auto known = find(key)) return known;
  PIE_TRY_ASSIGN(auto tokens, vocabulary());
  PIE_TRY_ASSIGN(auto grammar, Grammar::compile(std::move(tokens), kind, text, cpu_ns));
  keep(key, grammar);
  return grammar;
}

std::shared_ptr<const Grammar> GrammarCache::find(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto known = entries_.find(key);
  if (known == entries_.end()) return nullptr;
  order_.splice(order_.begin(), order_, known->second.place);
  return known->second.grammar;
}

void GrammarCache::keep(const Key& key, std::shared_ptr<const Grammar> grammar) {
  std::list<std::shared_ptr<const Grammar>> dropped;  // freed without the lock
  const std::lock_guard lock(mutex_);
  const uint64_t bytes = bytes_of(key, *grammar);
  const auto [entry, is_new] = entries_.try_emplace(key);
  if (!is_new) return;  // somebody else compiled it meanwhile
  order_.push_front(&entry->first);
  entry->second = {std::move(grammar), order_.begin()};
  bytes_ += bytes;
  while (bytes_ > bytes_max_ && !order_.empty()) {
    const auto oldest = entries_.find(*order_.back());
    bytes_ -= bytes_of(oldest->first, *oldest->second.grammar);
    dropped.push_back(std::move(oldest->second.grammar));
    order_.pop_back();
    entries_.erase(oldest);
  }
}

}  // namespace pie::grammar
