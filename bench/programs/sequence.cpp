#include "sequence.h"

#include <chrono>
#include <numeric>

#include "pie/sampler.h"

namespace bench {
namespace {

/// Ordinary words of every vocabulary that is measured: neither special tokens nor single bytes.
constexpr uint32_t kTokenMin = 1000;
constexpr uint32_t kTokenMax = 40'000;

}  // namespace

uint64_t now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

RandomTokens::RandomTokens() {
  std::random_device device;
  source_.seed((uint64_t{device()} << 32U) | device());
}

std::vector<uint32_t> RandomTokens::take(size_t count) {
  std::uniform_int_distribution<uint32_t> choose(kTokenMin, kTokenMax);
  std::vector<uint32_t> tokens(count);
  for (uint32_t& token : tokens) token = choose(source_);
  return tokens;
}

Sequence Sequence::fork() const {
  Sequence other(pool_);
  other.pages_ = pages_;
  other.numbers_ = numbers_;
  other.size_ = size_;
  return other;
}

void Sequence::begin(const std::vector<uint32_t>& tokens) {
  const size_t page_size = pool_->page_size();
  const size_t size = size_ + tokens.size();
  const size_t page_count = (size + page_size - 1) / page_size;
  if (page_count > pages_.size()) {
    for (auto& page : pool_->take(page_count - pages_.size())) {
      numbers_.push_back(page->number());
      pages_.push_back(std::move(page));
    }
  }
  std::vector<uint32_t> positions(tokens.size());
  std::iota(positions.begin(), positions.end(), static_cast<uint32_t>(size_));
  pass_.kv_cache(numbers_, static_cast<uint32_t>(size - (page_count - 1) * page_size));
  pass_.input_tokens(tokens, positions);
  inferlet::Sampler::greedy().request(pass_, static_cast<uint32_t>(tokens.size() - 1));
  result_ = pass_.execute();
  size_ = size;
}

std::optional<uint32_t> Sequence::end() {
  if (!result_) return std::nullopt;
  result_->wait();
  const auto tokens = result_->tokens();
  result_.reset();
  if (!tokens || tokens->empty()) return std::nullopt;
  return tokens->front();
}

}  // namespace bench
