#pragma once
#include <cstdint>

namespace pie::sample {

/// What one draw depends on, and nothing else: the same key gives the same number, whatever else
/// was drawn before or is in the batch.
struct DrawKey {
  uint64_t seed = 0;      ///< of the engine
  uint64_t instance = 0;  ///< who draws
  uint64_t pass = 0;      ///< the how-manieth pass of the instance
  uint64_t slot = 0;      ///< the how-manieth draw of the pass
};

/// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): a bijection that mixes all bits.
constexpr uint64_t mix_bits(uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

/// Uniform in [0, 1), 53 bits.
constexpr double uniform(const DrawKey& key) {
  uint64_t bits = mix_bits(key.seed);
  bits = mix_bits(bits ^ key.instance);
  bits = mix_bits(bits ^ key.pass);
  bits = mix_bits(bits ^ key.slot);
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

/// The numbers that one draw takes: uniform in [0, 1), independent of each other.
struct DrawChance {
  double token = 0;      ///< which one is drawn
  double exclusion = 0;  ///< whether XTC excludes this time
};

constexpr DrawChance chance_of(const DrawKey& key) {
  constexpr uint64_t kExclusion = 1ULL << 63;  // no pass has so many slots
  DrawKey other = key;
  other.slot |= kExclusion;
  return {uniform(key), uniform(other)};
}

}  // namespace pie::sample
