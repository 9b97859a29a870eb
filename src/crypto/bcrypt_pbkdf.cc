#include "crypto/bcrypt_pbkdf.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <vector>

namespace pie::crypto {
namespace {

constexpr size_t kSubkeys = 18;        // Schneier 1993, "Description of a New Variable-Length Key,
constexpr size_t kBoxWords = 4 * 256;  // 64-bit Block Cipher (Blowfish)"
constexpr size_t kHashWords = 8;       // bcrypt_pbkdf(3): 32 bytes a hash
constexpr char kMagic[] = "OxychromaticBlowfishSwatDynamite";

/// A binary fraction below 16: words_[0] is the integer part, the rest the digits after the point.
class Fixed {
 public:
  explicit Fixed(uint32_t integer) : words_(1 + kSubkeys + kBoxWords + 2, 0) {
    words_[0] = integer;
  }

  void divide(uint32_t by) {
    uint64_t rest = 0;
    for (uint32_t& word : words_) {
      rest = (rest << 32) | word;
      word = static_cast<uint32_t>(rest / by);
      rest %= by;
    }
  }
  void add(const Fixed& other) {
    uint64_t carry = 0;
    for (size_t i = words_.size(); i-- > 0;) {
      carry += uint64_t{words_[i]} + other.words_[i];
      words_[i] = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
  }
  void subtract(const Fixed& other) {
    uint64_t borrow = 0;
    for (size_t i = words_.size(); i-- > 0;) {
      const uint64_t difference = uint64_t{words_[i]} - other.words_[i] - borrow;
      words_[i] = static_cast<uint32_t>(difference);
      borrow = (difference >> 32) & 1;
    }
  }
  bool is_zero() const {
    return std::all_of(words_.begin(), words_.end(), [](uint32_t word) { return word == 0; });
  }
  uint32_t fraction_word(size_t index) const { return words_[1 + index]; }

 private:
  std::vector<uint32_t> words_;
};

/// factor * arctan(1 / x), by its Taylor series.
Fixed arctan_of_inverse(uint32_t factor, uint32_t x) {
  Fixed power(factor);
  power.divide(x);
  Fixed sum = power;
  for (uint32_t n = 3; !power.is_zero(); n += 2) {
    power.divide(x * x);
    Fixed term = power;
    term.divide(n);
    n % 4 == 3 ? sum.subtract(term) : sum.add(term);
  }
  return sum;
}

struct Blowfish {
  std::array<uint32_t, kSubkeys> p;
  std::array<uint32_t, kBoxWords> s;

  uint32_t f(uint32_t x) const {
    return ((s[x >> 24] + s[256 + ((x >> 16) & 255)]) ^ s[512 + ((x >> 8) & 255)]) +
           s[768 + (x & 255)];
  }

  void encipher(uint32_t& left, uint32_t& right) const {
    uint32_t l = left ^ p[0];
    uint32_t r = right;
    for (size_t i = 1; i < 17; i += 2) {
      r ^= f(l) ^ p[i];
      l ^= f(r) ^ p[i + 1];
    }
    left = r ^ p[17];
    right = l;
  }

  /// bcrypt's key schedule (Provos and Mazieres 1999, "A Future-Adaptable Password Scheme", section
  /// 4); `salt` may be null. Both are 16 words, used in a circle.
  void expand(const std::array<uint32_t, 16>& key, const std::array<uint32_t, 16>* salt) {
    for (size_t i = 0; i < p.size(); ++i) p[i] ^= key[i % 16];
    uint32_t left = 0;
    uint32_t right = 0;
    size_t at = 0;
    const auto next_pair = [&](uint32_t& a, uint32_t& b) {
      if (salt != nullptr) {
        left ^= (*salt)[at];
        right ^= (*salt)[at + 1];
        at = (at + 2) % 16;
      }
      encipher(left, right);
      a = left;
      b = right;
    };
    for (size_t i = 0; i < p.size(); i += 2) next_pair(p[i], p[i + 1]);
    for (size_t i = 0; i < s.size(); i += 2) next_pair(s[i], s[i + 1]);
  }
};

/// Blowfish's first state is the fraction of pi (Schneier 1993), here by Machin's formula:
/// pi = 16 arctan(1/5) - 4 arctan(1/239).
Blowfish compute_initial_state() {
  Fixed pi = arctan_of_inverse(16, 5);
  pi.subtract(arctan_of_inverse(4, 239));
  Blowfish state;
  for (size_t i = 0; i < kSubkeys; ++i) state.p[i] = pi.fraction_word(i);
  for (size_t i = 0; i < kBoxWords; ++i) state.s[i] = pi.fraction_word(kSubkeys + i);
  return state;
}

using Digest = std::array<uint8_t, SHA512_DIGEST_LENGTH>;
using Hash = std::array<uint8_t, 4 * kHashWords>;

Digest sha512(const void* bytes, size_t size) {
  Digest digest;
  SHA512(static_cast<const unsigned char*>(bytes), size, digest.data());
  return digest;
}

std::array<uint32_t, 16> big_endian_words(const Digest& digest) {
  std::array<uint32_t, 16> words;
  for (size_t i = 0; i < words.size(); ++i) {
    words[i] = uint32_t{digest[4 * i]} << 24 | uint32_t{digest[4 * i + 1]} << 16 |
               uint32_t{digest[4 * i + 2]} << 8 | digest[4 * i + 3];
  }
  return words;
}

/// The bcrypt_hash() of bcrypt_pbkdf(3): 64 rounds of key schedule, then 64 encryptions of kMagic.
Hash bcrypt_hash(const Digest& passphrase, const Digest& salt) {
  static const Blowfish initial = compute_initial_state();
  Blowfish state = initial;
  const auto key = big_endian_words(passphrase);
  const auto salt_words = big_endian_words(salt);
  state.expand(key, &salt_words);
  for (int i = 0; i < 64; ++i) {
    state.expand(salt_words, nullptr);
    state.expand(key, nullptr);
  }
  Hash out;
  for (size_t i = 0; i < kHashWords; i += 2) {
    std::array<uint32_t, 2> block{};
    for (size_t b = 0; b < 8; ++b) {
      block[b / 4] = block[b / 4] << 8 | static_cast<uint8_t>(kMagic[4 * i + b]);
    }
    for (int round = 0; round < 64; ++round) state.encipher(block[0], block[1]);
    for (size_t b = 0; b < 8; ++b) {
      out[4 * i + b] = static_cast<uint8_t>(block[b / 4] >> (8 * (b % 4)));
    }
  }
  return out;
}

}  // namespace

std::string bcrypt_pbkdf(std::string_view passphrase, std::string_view salt, size_t size_bytes,
                         uint32_t rounds) {
  const Digest hashed_passphrase = sha512(passphrase.data(), passphrase.size());
  const size_t stride = (size_bytes + sizeof(Hash) - 1) / sizeof(Hash);
  const size_t bytes_a_block = stride == 0 ? 0 : (size_bytes + stride - 1) / stride;
  std::string key(size_bytes, '\0');
  for (size_t block = 0; block < stride; ++block) {
    std::string numbered_salt(salt);
    for (int shift = 24; shift >= 0; shift -= 8) {
      numbered_salt.push_back(static_cast<char>((block + 1) >> shift));
    }
    Hash one = bcrypt_hash(hashed_passphrase, sha512(numbered_salt.data(), numbered_salt.size()));
    Hash all = one;
    for (uint32_t round = 1; round < rounds; ++round) {
      one = bcrypt_hash(hashed_passphrase, sha512(one.data(), one.size()));
      for (size_t i = 0; i < all.size(); ++i) all[i] ^= one[i];
    }
    // Output bytes are dealt out across the key, not one block after the other.
    for (size_t i = 0; i < bytes_a_block; ++i) {
      const size_t at = i * stride + block;
      if (at < key.size()) key[at] = static_cast<char>(all[i]);
    }
  }
  return key;
}

}  // namespace pie::crypto
