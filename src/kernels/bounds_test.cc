// Kernels touch nothing behind what they are given: everything lies against pages that nobody may
// touch. So this holds for the vector kernels too, which are not built under a sanitizer.
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/attention.h"
#include "kernels/testing/guarded_memory.h"
#include "kernels/testing/kernel_sets.h"
#include "kernels/testing/random_matrix.h"

namespace pie::kernels {
namespace {

const Format kAllFormats[] = {Format::kF32,  Format::kF16,  Format::kBf16, Format::kQ4_0,
                              Format::kQ4_1, Format::kQ5_0, Format::kQ5_1, Format::kQ8_0,
                              Format::kQ4_K, Format::kQ5_K, Format::kQ6_K};

/// The result in guarded memory, as a vector.
std::vector<float> values(const GuardedMemory& memory, size_t count) {
  return {memory.floats(), memory.floats() + count};
}

class BoundsTest : public testing::TestWithParam<Format> {
 protected:
  ActivationKind kind() const { return format_traits(GetParam()).activations; }
  /// Short rows, and where the format allows it one that fills no vector.
  std::vector<uint32_t> lengths() const {
    const uint32_t block = format_traits(GetParam()).block_values;
    if (block == 1) return {1, 7, 67};
    return {block, 3 * block};
  }
};

INSTANTIATE_TEST_SUITE_P(All, BoundsTest, testing::ValuesIn(kAllFormats), [](const auto& test) {
  return std::string(format_traits(test.param).name);
});

TEST_P(BoundsTest, products) {
  constexpr uint32_t kRows = 41;  // the last panel has 9
  for (const uint32_t k : lengths()) {
    const RandomMatrix file = random_matrix(GetParam(), kRows, k, k);
    const PackedMatrix weights = PackedMatrix::pack(file.file_rows());
    const GuardedMemory panels(weights.size_bytes());
    std::memcpy(panels.data(), weights.panel(0), weights.size_bytes());
    const GuardedFloats bias(random_floats(kRows, 3));
    for (const uint32_t tokens : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 13U}) {
      const GuardedFloats floats(random_floats(size_t{tokens} * k, tokens));
      const size_t bytes = activation_bytes(kind(), tokens, k);
      for (const NamedKernels& set : all_kernels()) {
        SCOPED_TRACE(testing::Message() << set.name << ", k " << k << ", tokens " << tokens);
        const GuardedMemory packed(bytes);
        const Activations x{.kind = kind(), .token_count = tokens, .k = k, .data = packed.data()};
        set.kernels->pack_activations(x, floats.floats(), k, 0, tokens);
        const GuardedMemory y(size_t{tokens} * kRows * sizeof(float));
        const Product whole{.format = GetParam(),
                            .panels = panels.data(),
                            .panel_bytes = weights.panel_bytes(),
                            .rows = kRows,
                            .k = k,
                            .gated = false,
                            .activations = packed.data(),
                            .token_bytes = bytes / tokens,
                            .token_count = tokens,
                            .panel_begin = 0,
                            .panel_end = weights.panel_count(),
                            .epilogue = {.y = y.floats(), .stride = kRows, .bias = bias.floats()}};
        set.kernels->product(whole);
        const std::vector<float> stored = values(y, size_t{tokens} * kRows);
        Product added = whole;
        added.epilogue.op = Epilogue::Op::kAdd;
        set.kernels->product(added);
        for (size_t i = 0; i < stored.size(); ++i)
          ASSERT_EQ(y.floats()[i], stored[i] + stored[i]) << "at " << i;
      }
    }
  }
}

TEST_P(BoundsTest, gated_products) {
  constexpr uint32_t kRows = 21;  // the last panel has 5
  const uint32_t k = lengths().back();
  const RandomMatrix gate = random_matrix(GetParam(), kRows, k, 1);
  const RandomMatrix up = random_matrix(GetParam(), kRows, k, 2);
  PanelArena arena;
  const PackedMatrix weights = PackedMatrix::interleave(gate.file_rows(), up.file_rows(), arena);
  const GuardedMemory panels(weights.size_bytes());
  std::memcpy(panels.data(), weights.panel(0), weights.size_bytes());
  for (const uint32_t tokens : {1U, 5U, 6U}) {
    const std::vector<float> floats = random_floats(size_t{tokens} * k, tokens);
    const auto x = pack(kScalarKernels, kind(), floats, tokens, k);
    const size_t bytes = activation_bytes(kind(), tokens, k);
    const GuardedMemory packed(bytes);
    std::memcpy(packed.data(), x.view.data, bytes);
    std::vector<float> expected;
    for (const NamedKernels& set : all_kernels()) {
      const GuardedMemory y(size_t{tokens} * kRows * sizeof(float));
      set.kernels->product(
          {.format = GetParam(),
           .panels = panels.data(),
           .panel_bytes = weights.panel_bytes(),
           .rows = kRows,
           .k = k,
           .gated = true,
           .activations = packed.data(),
           .token_bytes = bytes / tokens,
           .token_count = tokens,
           .panel_begin = 0,
           .panel_end = weights.panel_count(),
           .epilogue = {.op = Epilogue::Op::kSiluMul, .y = y.floats(), .stride = kRows}});
      if (expected.empty()) expected = values(y, size_t{tokens} * kRows);
      EXPECT_EQ(values(y, size_t{tokens} * kRows), expected) << set.name;
    }
  }
}

TEST(Bounds, the_guard_holds) {
  const GuardedMemory memory(100);
  memory.data()[99] = std::byte{1};
  EXPECT_DEATH(memory.data()[100] = std::byte{1}, "");
}

TEST(Bounds, small_operations) {
  for (const uint32_t n : {1U, 2U, 15U, 16U, 17U, 33U, 64U, 100U}) {
    const std::vector<float> drawn = random_floats(n, n);
    const GuardedFloats weight(random_floats(n, 2));
    for (const NamedKernels& set : all_kernels()) {
      SCOPED_TRACE(testing::Message() << set.name << ", n " << n);
      const KernelSet& k = *set.kernels;
      const GuardedFloats x(drawn);
      const GuardedMemory y(n * sizeof(float));
      k.rms_norm(x.floats(), weight.floats(), 1e-5F, n, y.floats());
      k.add(x.floats(), n, y.floats());
      k.silu_mul(x.floats(), weight.floats(), n, y.floats());
      k.gelu_mul(x.floats(), weight.floats(), n, y.floats());
      k.exp(x.floats(), n, y.floats());
      k.scale(y.floats(), 2.0F, n, y.floats());
      k.soft_cap(y.floats(), 3.0F, n, y.floats());
      for (const float value : values(y, n)) ASSERT_TRUE(value >= 0.0F && value <= 3.0F);
      if (n % 2 != 0) continue;
      const GuardedFloats angles(std::vector<float>(n / 2, 0.6F));
      for (const RopePairing pairing : {RopePairing::kAdjacent, RopePairing::kHalves}) {
        k.rope({.pairing = pairing, .head_count = 1, .head_size = n, .rotated = n}, angles.floats(),
               angles.floats(), x.floats());
      }
      EXPECT_NE(values(x, n), drawn);
    }
  }
}

/// Of partial results over V that is 1 everywhere.
void check_means(const AttentionKernels& kernels, const AttentionShape& shape,
                 const std::vector<float*>& partials) {
  const GuardedMemory sum(shape.partial_size() * sizeof(float));
  const GuardedMemory result(shape.value_size * sizeof(float));
  for (const float* partial : partials) {
    std::memset(sum.data(), 0, shape.partial_size() * sizeof(float));
    clear_partial(sum.floats());
    kernels.merge(shape, sum.floats(), partial);
    kernels.finish(shape, sum.floats(), result.floats());
    for (const float mean : values(result, shape.value_size)) ASSERT_NEAR(mean, 1.0F, 1e-5F);
  }
}

/// A chunk whose last page is the last of the memory, with queries, masks and results against
/// guarded pages as well.
void attend_within_bounds(const AttentionKernels& kernels, const AttentionShape& shape) {
  constexpr uint32_t kPages = 3;
  const GuardedMemory pages(size_t{kPages} * shape.page_bytes());
  std::memset(pages.data(), 0, size_t{kPages} * shape.page_bytes());
  std::vector<const std::byte*> table;
  for (uint32_t p = 0; p < kPages; ++p) {
    std::byte* page = pages.data() + size_t{p} * shape.page_bytes();
    table.push_back(page);
    for (uint32_t token = 0; token < kPageTokens; ++token) {
      const GuardedFloats key(random_floats(shape.key_size, p + token));
      const GuardedFloats value(std::vector<float>(shape.value_size, 1.0F));
      kernels.append(shape, page, token, key.floats(), value.floats());
    }
  }
  for (const uint32_t count : {1U, 2U, 3U, 4U, 6U}) {
    const GuardedFloats queries(random_floats(size_t{count} * shape.key_size, count));
    const GuardedMemory packed(size_t{count} * shape.key_size * sizeof(float));
    const GuardedMemory partials(size_t{count} * shape.partial_size() * sizeof(float));
    const GuardedMemory visible(sizeof(ChunkVisible));
    std::memset(visible.data(), 0xFF, sizeof(ChunkVisible));
    std::vector<const float*> rows;
    std::vector<const uint16_t*> seen;
    std::vector<float*> results;
    for (uint32_t i = 0; i < count; ++i) {
      rows.push_back(queries.floats() + size_t{i} * shape.key_size);
      seen.push_back(reinterpret_cast<const uint16_t*>(visible.data()));
      results.push_back(partials.floats() + size_t{i} * shape.partial_size());
    }
    kernels.pack_queries(shape, rows.data(), count, packed.floats());
    kernels.attend(shape,
                   {table.data(), kPages, count, packed.floats(), seen.data(), results.data()});
    check_means(kernels, shape, results);
    const GuardedMemory words(kPages * sizeof(uint16_t));
    std::memset(words.data(), 0xFF, kPages * sizeof(uint16_t));
    words.data()[2] = std::byte{0x5A};
    std::fill(seen.begin(), seen.end(), reinterpret_cast<const uint16_t*>(words.data()));
    kernels.attend_scattered(shape, {table.data(), kPages, count, packed.floats(), seen.data(),
                                     seen.data(), results.data()});
    check_means(kernels, shape, results);
  }
}

TEST(Bounds, attention) {
  for (const Isa isa : supported_isas()) {
    for (AttentionShape shape :
         {AttentionShape{64, 64, 0.125F, 0.0F}, AttentionShape{20, 24, 0.2F, 0.0F},
          AttentionShape{96, 80, 0.1F, 5.0F}}) {
      for (const PageFormat format : {PageFormat::kF16, PageFormat::kBf16, PageFormat::kQ8}) {
        SCOPED_TRACE(testing::Message() << isa_name(isa) << ", " << shape.key_size << ", format "
                                        << static_cast<int>(format));
        shape.format = format;
        attend_within_bounds(attention_kernels(isa, format), shape);
      }
    }
  }
}

}  // namespace
}  // namespace pie::kernels
