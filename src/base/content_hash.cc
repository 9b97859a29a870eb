#include "base/content_hash.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace pie {
namespace {

// Odd constants: the first 64 bits of the fractions of the square roots of 2, 3, 5 and 7.
constexpr std::array<uint64_t, 4> kOdd = {0x6A09E667F3BCC909ULL, 0xBB67AE8584CAA73BULL,
                                          0x3C6EF372FE94F82BULL, 0xA54FF53A5F1D36F1ULL};

/// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): a bijection that mixes all bits.
constexpr uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

uint64_t word_at(const std::byte* bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}

}  // namespace

std::string ContentHash::hex() const { return fmt::format("{:016x}{:016x}", high, low); }

ContentHasher::ContentHasher() : lanes_(kOdd) {}

/// Each step is a bijection of the lane for a given word, and of the word for a given lane.
void ContentHasher::take_block(const std::byte* block) {
  for (size_t i = 0; i < kLanes; ++i) {
    const uint64_t word = word_at(block + i * sizeof(uint64_t));
    lanes_[i] = std::rotl((lanes_[i] ^ word) * kOdd[i], 29) + kOdd[(i + 1) % kLanes];
  }
}

void ContentHasher::update(std::span<const std::byte> bytes) {
  size_ += bytes.size();
  if (rest_size_ > 0) {
    const size_t taken = std::min(kBlock - rest_size_, bytes.size());
    std::copy_n(bytes.begin(), taken, rest_.begin() + static_cast<ptrdiff_t>(rest_size_));
    rest_size_ += taken;
    bytes = bytes.subspan(taken);
    if (rest_size_ < kBlock) return;
    take_block(rest_.data());
    rest_size_ = 0;
  }
  for (; bytes.size() >= kBlock; bytes = bytes.subspan(kBlock)) take_block(bytes.data());
  std::copy(bytes.begin(), bytes.end(), rest_.begin());
  rest_size_ = bytes.size();
}

ContentHash ContentHasher::hash() const {
  ContentHasher last = *this;
  std::fill(last.rest_.begin() + static_cast<ptrdiff_t>(rest_size_), last.rest_.end(),
            std::byte{0});
  last.take_block(last.rest_.data());
  ContentHash hash{mix(size_ ^ kOdd[0]), mix(size_ ^ kOdd[1])};
  for (const uint64_t lane : last.lanes_) {
    hash.high = mix((hash.high ^ lane) * kOdd[2]);
    hash.low = mix((hash.low + lane) * kOdd[3]);
  }
  return hash;
}

ContentHash hash_content(std::span<const std::byte> bytes) {
  ContentHasher hasher;
  hasher.update(bytes);
  return hasher.hash();
}

}  // namespace pie
