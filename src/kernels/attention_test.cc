#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

namespace pie::kernels {

extern const AttentionKernels kEmulatedAvx512Attention[];  // testing/emulated_attention_test.cc

namespace {

struct Set {
  const char* name;
  const AttentionKernels* kernels;
};

/// What this machine can run, and the AVX-512 code over emulated instructions.
std::vector<Set> all_sets(PageFormat format) {
  std::vector<Set> sets;
  for (const Isa isa : supported_isas())
    sets.push_back({isa_name(isa), &attention_kernels(isa, format)});
#ifndef PIE_SCALAR_KERNELS_ONLY
  sets.push_back({"emulated avx512", &kEmulatedAvx512Attention[static_cast<size_t>(format)]});
#endif
  return sets;
}

struct Case {
  const char* name;
  AttentionShape shape;
};

const Case kCases[] = {
    {"64", {64, 64, 0.125F, 0.0F}},
    {"16", {16, 16, 0.25F, 0.0F}},
    {"128", {128, 128, 0.088F, 0.0F}},
    {"80, K wider than V", {96, 80, 0.1F, 0.0F}},
    {"odd sizes", {20, 24, 0.2F, 0.0F}},
    {"256, soft cap", {256, 256, 0.0625F, 50.0F}},
    {"64, small soft cap", {64, 64, 0.125F, 2.0F}},
    {"64, BF16", {64, 64, 0.125F, 0.0F, PageFormat::kBf16}},
    {"odd sizes, BF16", {20, 24, 0.2F, 0.0F, PageFormat::kBf16}},
    {"64, Q8", {64, 64, 0.125F, 0.0F, PageFormat::kQ8}},
    {"odd sizes, Q8", {20, 24, 0.2F, 0.0F, PageFormat::kQ8}},
    {"256, soft cap, Q8", {256, 256, 0.0625F, 50.0F, PageFormat::kQ8}},
};

/// One K/V head of a sequence: values as drawn, and the pages that append() made of them.
class History {
 public:
  History(const Case& c, uint32_t slots, uint32_t seed) : shape_(c.shape), random_(seed) {
    std::normal_distribution<float> draw;
    for (uint32_t i = 0; i < slots; ++i) {
      for (uint32_t d = 0; d < shape_.key_size; ++d) keys_.push_back(draw(random_));
      for (uint32_t d = 0; d < shape_.value_size; ++d) values_.push_back(draw(random_));
    }
    const uint32_t pages = (slots + kPageTokens - 1) / kPageTokens;
    memory_.assign(size_t{pages} * shape_.page_bytes() / sizeof(float), 0.0F);
    for (uint32_t i = 0; i < slots; ++i) {
      attention_kernels(Isa::kScalar, shape_.format)
          .append(shape_, page(i / kPageTokens), i % kPageTokens, key(i), value(i));
    }
    for (uint32_t p = 0; p < pages; ++p) table_.push_back(page(p));
  }
  std::byte* page(uint32_t index) {
    return reinterpret_cast<std::byte*>(memory_.data()) + size_t{index} * shape_.page_bytes();
  }
  const float* key(uint32_t slot) const { return keys_.data() + size_t{slot} * shape_.key_size; }
  const float* value(uint32_t slot) const {
    return values_.data() + size_t{slot} * shape_.value_size;
  }
  const std::vector<const std::byte*>& table() const { return table_; }
  std::vector<float> queries(uint32_t count) {
    std::normal_distribution<float> draw;
    std::vector<float> result(size_t{count} * shape_.key_size);
    for (float& x : result) x = draw(random_);
    return result;
  }

 private:
  AttentionShape shape_;
  std::mt19937 random_;
  std::vector<float> keys_, values_;
  std::vector<float> memory_;  // for its alignment
  std::vector<const std::byte*> table_;
};

using Visible = std::vector<bool>;  // per slot

/// Queries of one sequence in one go: tile after tile, chunk after chunk.
std::vector<float> attend(const AttentionKernels& kernels, const AttentionShape& shape,
                          const History& history, const std::vector<const float*>& queries,
                          const std::vector<Visible>& visible) {
  const auto count = static_cast<uint32_t>(queries.size());
  std::vector<float> packed(size_t{count} * shape.key_size);
  kernels.pack_queries(shape, queries.data(), count, packed.data());
  std::vector<float> sums(size_t{count} * shape.partial_size());
  for (uint32_t i = 0; i < count; ++i) clear_partial(&sums[size_t{i} * shape.partial_size()]);
  const auto pages = static_cast<uint32_t>(history.table().size());
  for (uint32_t first = 0; first < pages; first += kChunkPages) {
    uint32_t at = 0;
    for (uint32_t tile; (tile = next_tile(count - at)) > 0; at += tile) {
      ChunkVisible bits[kTileQueries] = {};
      const uint16_t* seen[kTileQueries];
      std::vector<float> partial(size_t{tile} * shape.partial_size());
      float* partials[kTileQueries];
      for (uint32_t t = 0; t < tile; ++t) {
        for (uint32_t i = 0; i < kChunkTokens; ++i) {
          const size_t slot = size_t{first} * kPageTokens + i;
          if (slot < visible[at + t].size() && visible[at + t][slot])
            bits[t][i / 16] = static_cast<uint16_t>(bits[t][i / 16] | (1U << (i % 16)));
        }
        seen[t] = bits[t];
        partials[t] = &partial[size_t{t} * shape.partial_size()];
      }
      kernels.attend(shape, {&history.table()[first], std::min(kChunkPages, pages - first), tile,
                             &packed[size_t{at} * shape.key_size], seen, partials});
      for (uint32_t t = 0; t < tile; ++t) {
        kernels.merge(shape, &sums[size_t{at + t} * shape.partial_size()], partials[t]);
      }
    }
  }
  std::vector<float> result(size_t{count} * shape.value_size);
  for (uint32_t i = 0; i < count; ++i) {
    kernels.finish(shape, &sums[size_t{i} * shape.partial_size()],
                   &result[size_t{i} * shape.value_size]);
  }
  return result;
}

double rounded(float x, int fraction_bits, int least_exponent) {
  int exponent = 0;
  std::frexp(x, &exponent);
  const double step = std::ldexp(1.0, std::max(exponent, least_exponent) - fraction_bits);
  return std::nearbyint(x / step) * step;
}

/// `size` elements as a page keeps them.
std::vector<double> stored(PageFormat format, const float* x, uint32_t size) {
  std::vector<double> result(size);
  float largest = 0;
  for (uint32_t i = 0; i < size; ++i) largest = std::max(largest, std::fabs(x[i]));
  for (uint32_t i = 0; i < size; ++i) {
    switch (format) {
      case PageFormat::kF16: result[i] = rounded(x[i], 11, -13); break;
      case PageFormat::kBf16: result[i] = rounded(x[i], 8, -125); break;
      case PageFormat::kQ8:  // the factor is rounded once, hence not x / scale
        result[i] = double{std::nearbyint(x[i] * (127.0F / largest))} * largest / 127.0;
        break;
    }
  }
  return result;
}

/// The definition, in double, over K and V as they are stored.
std::vector<double> expected(const AttentionShape& shape, const History& history,
                             const float* query, const Visible& visible) {
  std::vector<double> scores(visible.size());
  double largest = -1e300;
  for (size_t i = 0; i < visible.size(); ++i) {
    double s = 0;
    const auto key = stored(shape.format, history.key(static_cast<uint32_t>(i)), shape.key_size);
    for (uint32_t d = 0; d < shape.key_size; ++d) s += double{query[d]} * key[d];
    s *= shape.scale;
    if (shape.softcap > 0) s = shape.softcap * std::tanh(s / shape.softcap);
    scores[i] = s;
    if (visible[i]) largest = std::max(largest, s);
  }
  std::vector<double> result(shape.value_size);
  double sum = 0;
  for (size_t i = 0; i < visible.size(); ++i) {
    if (!visible[i]) continue;
    const double w = std::exp(scores[i] - largest);
    sum += w;
    const auto value =
        stored(shape.format, history.value(static_cast<uint32_t>(i)), shape.value_size);
    for (uint32_t d = 0; d < shape.value_size; ++d) result[d] += w * value[d];
  }
  for (double& x : result) x = sum > 0 ? x / sum : 0;
  return result;
}

/// Masks of several kinds over `slots` slots.
std::vector<Visible> masks(uint32_t slots) {
  std::vector<Visible> list;
  list.emplace_back(slots, true);
  Visible prefix(slots, false), window(slots, false), holes(slots, true), one(slots, false);
  for (uint32_t i = 0; i < slots; ++i) {
    prefix[i] = i < slots / 2 + 3;
    window[i] = i + 40 > slots;
    holes[i] = i % 7 != 2 && !(i > 20 && i < 60);
  }
  one[slots / 3] = true;
  list.insert(list.end(), {prefix, window, holes, one, Visible(slots, false), prefix});
  return list;
}

TEST(AttentionTest, equals_the_definition) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    for (const uint32_t slots : {1U, 16U, 45U, 128U, 129U, 300U}) {
      History history(c, slots, slots);
      const std::vector<Visible> visible = masks(slots);
      const auto count = static_cast<uint32_t>(visible.size());
      const std::vector<float> queries = history.queries(count);
      std::vector<const float*> pointers;
      for (uint32_t i = 0; i < count; ++i)
        pointers.push_back(&queries[size_t{i} * c.shape.key_size]);
      for (const Set& set : all_sets(c.shape.format)) {
        SCOPED_TRACE(set.name);
        const std::vector<float> got = attend(*set.kernels, c.shape, history, pointers, visible);
        for (uint32_t i = 0; i < count; ++i) {
          const std::vector<double> want = expected(c.shape, history, pointers[i], visible[i]);
          for (uint32_t d = 0; d < c.shape.value_size; ++d) {
            // V of size 4 at most; weights to (key_size + 8) roundings of scores of size 40 and
            // the exponential's 3e-7; sums of 128 in a row.
            ASSERT_NEAR(got[size_t{i} * c.shape.value_size + d], want[d], 1e-4)
                << "query " << i << " of " << slots << " slots, element " << d;
          }
        }
      }
    }
  }
}

TEST(AttentionTest, bits_depend_on_neither_tile_nor_instruction_set) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    History history(c, 300, 3);
    std::vector<Visible> visible = masks(300);
    while (visible.size() < 13) visible.push_back(visible[visible.size() % 5]);
    const auto count = static_cast<uint32_t>(visible.size());
    const std::vector<float> queries = history.queries(count);
    std::vector<const float*> pointers;
    for (uint32_t i = 0; i < count; ++i) pointers.push_back(&queries[size_t{i} * c.shape.key_size]);
    const std::vector<float> all = attend(attention_kernels(Isa::kScalar, c.shape.format), c.shape,
                                          history, pointers, visible);
    for (const Set& set : all_sets(c.shape.format)) {
      SCOPED_TRACE(set.name);
      EXPECT_EQ(0, std::memcmp(attend(*set.kernels, c.shape, history, pointers, visible).data(),
                               all.data(), all.size() * sizeof(float)));
      for (uint32_t begin = 0; begin < count; ++begin) {
        for (uint32_t size = 1; size <= 6 && begin + size <= count; ++size) {
          const auto first = pointers.begin() + begin;
          const auto mask = visible.begin() + begin;
          const std::vector<float> some =
              attend(*set.kernels, c.shape, history, {first, first + size}, {mask, mask + size});
          ASSERT_EQ(0, std::memcmp(some.data(), &all[size_t{begin} * c.shape.value_size],
                                   some.size() * sizeof(float)))
              << "queries " << begin << " to " << begin + size;
        }
      }
    }
  }
}

TEST(AttentionTest, what_is_not_visible_adds_nothing) {
  for (const Case& c : {kCases[0], kCases[7], kCases[9]}) {
    SCOPED_TRACE(c.name);
    History clean(c, 200, 5);
    History dirty(c, 200, 5);
    Visible visible(200, true);
    const std::vector<float> large(64, 60000.0F);
    for (const uint32_t slot : {0U, 17U, 130U, 199U}) {
      visible[slot] = false;
      attention_kernels(best_isa(), c.shape.format)
          .append(c.shape, dirty.page(slot / 16), slot % 16, large.data(), large.data());
    }
    const std::vector<float> query = clean.queries(1);
    for (const Set& set : all_sets(c.shape.format)) {
      EXPECT_EQ(attend(*set.kernels, c.shape, dirty, {query.data()}, {visible}),
                attend(*set.kernels, c.shape, clean, {query.data()}, {visible}));
    }
  }
}

/// Pages in which tokens of a history lie at given slots; what lies between them is large.
std::vector<float> placed(const AttentionShape& shape, const History& from,
                          const std::vector<uint32_t>& slots, uint32_t page_count) {
  std::vector<float> memory(size_t{page_count} * shape.page_bytes() / sizeof(float), 0.0F);
  auto* bytes = reinterpret_cast<std::byte*>(memory.data());
  const std::vector<float> large(256, 60000.0F);
  const auto append = [&](uint32_t slot, const float* key, const float* value) {
    attention_kernels(Isa::kScalar, shape.format)
        .append(shape, bytes + size_t{slot / kPageTokens} * shape.page_bytes(), slot % kPageTokens,
                key, value);
  };
  for (uint32_t slot = 0; slot < page_count * kPageTokens; ++slot)
    append(slot, large.data(), large.data());
  for (uint32_t i = 0; i < slots.size(); ++i) append(slots[i], from.key(i), from.value(i));
  return memory;
}

std::vector<const std::byte*> page_table(const AttentionShape& shape,
                                         const std::vector<float>& memory) {
  std::vector<const std::byte*> table;
  for (size_t at = 0; at < memory.size() * sizeof(float); at += shape.page_bytes())
    table.push_back(reinterpret_cast<const std::byte*>(memory.data()) + at);
  return table;
}

void set_bit(std::vector<uint16_t>& words, uint32_t slot) {
  words[slot / 16] = static_cast<uint16_t>(words[slot / 16] | 1U << slot % 16);
}

/// Query t of a tile has the tokens from t on as members, and sees those from 2 t on.
void check_scattered(const AttentionKernels& kernels, const AttentionShape& shape, uint32_t tokens,
                     const std::vector<uint32_t>& slots) {
  History history({"", shape}, tokens, tokens);
  const uint32_t page_count = slots.back() / kPageTokens + 1;
  const std::vector<float> memory = placed(shape, history, slots, page_count);
  const std::vector<const std::byte*> table = page_table(shape, memory);
  for (const uint32_t count : {1U, 2U, 3U, 4U, 6U}) {
    if (count > tokens) continue;
    const std::vector<float> queries = history.queries(count);
    std::vector<const float*> rows;
    for (uint32_t t = 0; t < count; ++t) rows.push_back(&queries[size_t{t} * shape.key_size]);
    std::vector<float> packed(queries.size());
    kernels.pack_queries(shape, rows.data(), count, packed.data());
    std::vector<std::vector<uint16_t>> members(count, std::vector<uint16_t>(page_count));
    std::vector<std::vector<uint16_t>> visible = members;
    std::vector<std::vector<float>> got(count, std::vector<float>(shape.partial_size(), -1.0F));
    std::vector<const uint16_t*> member_words, visible_words;
    std::vector<float*> partials;
    for (uint32_t t = 0; t < count; ++t) {
      for (uint32_t i = t; i < tokens; ++i) set_bit(members[t], slots[i]);
      for (uint32_t i = 2 * t; i < tokens; ++i) set_bit(visible[t], slots[i]);
      member_words.push_back(members[t].data());
      visible_words.push_back(visible[t].data());
      partials.push_back(got[t].data());
    }
    kernels.attend_scattered(shape, {table.data(), page_count, count, packed.data(),
                                     member_words.data(), visible_words.data(), partials.data()});
    for (uint32_t t = 0; t < count; ++t) {
      std::vector<uint32_t> side_by_side(tokens);  // of those before t: behind the chunk
      for (uint32_t i = 0; i < tokens; ++i) side_by_side[i] = i < t ? tokens + i : i - t;
      const std::vector<float> chunk_memory =
          placed(shape, history, side_by_side, (tokens + t) / kPageTokens + 1);
      const std::vector<const std::byte*> chunk = page_table(shape, chunk_memory);
      std::vector<uint16_t> seen(std::max<size_t>(kChunkPages, chunk.size()));
      for (uint32_t i = 2 * t; i < tokens; ++i) set_bit(seen, i - t);
      const uint16_t* words = seen.data();
      std::vector<float> want(shape.partial_size());
      float* partial = want.data();
      kernels.pack_queries(shape, &rows[t], 1, packed.data());
      kernels.attend(shape,
                     {chunk.data(), std::min(kChunkPages, static_cast<uint32_t>(chunk.size())), 1,
                      packed.data(), &words, &partial});
      kernels.pack_queries(shape, rows.data(), count, packed.data());
      ASSERT_EQ(got[t][0], want[0]) << "query " << t << " of " << count;
      ASSERT_EQ(got[t][1], want[1]) << "query " << t << " of " << count;
      ASSERT_EQ(0, std::memcmp(&got[t][16], &want[16], shape.value_stride() * sizeof(float)))
          << "query " << t << " of " << count;
    }
  }
}

TEST(AttentionTest, members_that_lie_apart_have_the_bits_of_those_side_by_side) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    for (const Set& set : all_sets(c.shape.format)) {
      SCOPED_TRACE(set.name);
      for (const uint32_t tokens : {1U, 128U}) {
        std::vector<uint32_t> holes, far_apart;
        for (uint32_t slot = 3; holes.size() < tokens; ++slot) {
          if (slot % 11 != 5 && !(slot > 30 && slot < 90)) holes.push_back(slot);
        }
        for (uint32_t i = 0; i < tokens; ++i) far_apart.push_back(19 * i + 7);
        for (const auto& slots : {holes, far_apart}) {
          SCOPED_TRACE(testing::Message() << tokens << " tokens up to slot " << slots.back());
          check_scattered(*set.kernels, c.shape, tokens, slots);
        }
      }
    }
  }
}

/// Numbers that a page can't keep as they are, in a head of 20 K and 24 V.
struct Odd {
  std::vector<float> key = std::vector<float>(20, 1e6F);
  std::vector<float> value = std::vector<float>(24, -1e38F);
  Odd() {
    key[1] = std::numeric_limits<float>::quiet_NaN();
    key[2] = -std::numeric_limits<float>::infinity();
    key[3] = 0x1p-24F;
    key[4] = 1.0F + 0x1p-11F;  // a tie of F16, to even
    key[5] = -0x1.8p-15F;
    key[6] = 1.0F + 0x1p-8F;  // a tie of BF16, to even
    key[7] = std::numeric_limits<float>::max();
    value[7] = std::numeric_limits<float>::quiet_NaN();
    value[8] = 65519.0F;
  }
};

/// The page that every instruction set makes of them, as elements of type T.
template <class T>
std::vector<T> page_of(const AttentionShape& shape, const Odd& odd) {
  std::vector<T> first;
  for (const Set& set : all_sets(shape.format)) {
    SCOPED_TRACE(set.name);
    std::vector<float> memory(shape.page_bytes() / sizeof(float), 0.0F);
    auto* bytes = reinterpret_cast<std::byte*>(memory.data());
    set.kernels->append(shape, bytes, 5, odd.key.data(), odd.value.data());
    std::vector<T> page(shape.page_bytes() / sizeof(T));
    std::memcpy(page.data(), bytes, shape.page_bytes());
    if (first.empty()) first = page;
    EXPECT_EQ(page, first);
  }
  return first;
}

TEST(AttentionTest, f16_pages_hold_finite_numbers_only) {
  const auto page = page_of<uint16_t>({20, 24, 0.2F, 0.0F}, {});
  const auto key_at = [&](uint32_t d) { return page[size_t{d} * kPageTokens + 5]; };
  EXPECT_EQ(key_at(0), 0x7BFF);
  EXPECT_EQ(key_at(1), 0xFBFF);
  EXPECT_EQ(key_at(2), 0xFBFF);
  EXPECT_EQ(key_at(3), 0x0001);
  EXPECT_EQ(key_at(4), 0x3C00);
  EXPECT_EQ(key_at(5), 0x8300);
  for (const uint16_t half : page) ASSERT_NE(half & 0x7C00, 0x7C00);
}

TEST(AttentionTest, bf16_pages_hold_finite_numbers_only) {
  const auto page = page_of<uint16_t>({20, 24, 0.2F, 0.0F, PageFormat::kBf16}, {});
  const auto key_at = [&](uint32_t d) { return page[size_t{d} * kPageTokens + 5]; };
  EXPECT_EQ(key_at(0), 0x4974);
  EXPECT_EQ(key_at(1), 0xFF7F);
  EXPECT_EQ(key_at(2), 0xFF7F);
  EXPECT_EQ(key_at(3), 0x3380);
  EXPECT_EQ(key_at(6), 0x3F80);
  EXPECT_EQ(key_at(7), 0x7F7F);
  for (const uint16_t half : page) ASSERT_NE(half & 0x7F80, 0x7F80);
}

TEST(AttentionTest, q8_pages_hold_finite_numbers_only) {
  const AttentionShape shape{20, 24, 0.2F, 0.0F, PageFormat::kQ8};
  const auto page = page_of<int8_t>(shape, {});
  const auto key_at = [&](uint32_t d) { return page[size_t{d} * kPageTokens + 5]; };
  EXPECT_EQ(key_at(0), 127);
  EXPECT_EQ(key_at(1), -127);
  EXPECT_EQ(key_at(2), -127);
  EXPECT_EQ(key_at(4), 0);
  const auto scales = page_of<float>(shape, {});
  EXPECT_EQ(scales[shape.page_elements() / 4 + 5], 65504.0F * (1.0F / 127.0F));
  EXPECT_EQ(scales[shape.page_elements() / 4 + 16 + 5], 65504.0F * (1.0F / 127.0F));
  // Below 2^-120 there is no factor to multiply with.
  Odd small;
  small.key.assign(20, 0x1p-126F);
  for (uint32_t d = 0; d < 20; ++d) {
    EXPECT_EQ(page_of<int8_t>(shape, small)[size_t{d} * kPageTokens + 5], 0);
  }
  EXPECT_EQ(page_of<float>(shape, small)[shape.page_elements() / 4 + 5], 0.0F);
}

}  // namespace
}  // namespace pie::kernels
