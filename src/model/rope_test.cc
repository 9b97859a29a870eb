#include "model/rope.h"

#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml-cpu.h>
#include <gtest/gtest.h>

#include <cmath>

namespace pie::model {
namespace {

/// What ggml's rotation makes of a head whose pairs are all (1, 0), at `position`.
std::vector<float> turned_by_ggml(const Rope& rope, std::vector<float> factors, int32_t position) {
  const ggml_context_ptr context(ggml_init({1 << 20, nullptr, false}));
  ggml_context* ctx = context.get();
  ggml_tensor* head = ggml_new_tensor_3d(ctx, GGML_TYPE_F32, rope.dims, 1, 1);
  for (uint32_t i = 0; i < rope.dims; ++i) ggml_get_data_f32(head)[i] = i % 2 == 0 ? 1.0F : 0.0F;
  ggml_tensor* positions = ggml_new_tensor_1d(ctx, GGML_TYPE_I32, 1);
  *static_cast<int32_t*>(positions->data) = position;
  ggml_tensor* divisors = nullptr;
  if (!factors.empty()) {
    divisors = ggml_new_tensor_1d(ctx, GGML_TYPE_F32, static_cast<int64_t>(factors.size()));
    std::copy(factors.begin(), factors.end(), ggml_get_data_f32(divisors));
  }
  ggml_tensor* out =
      ggml_rope_ext(ctx, head, positions, divisors, static_cast<int>(rope.dims),
                    GGML_ROPE_TYPE_NORMAL, static_cast<int>(rope.original_context), rope.base,
                    1.0F / rope.factor, rope.scaling == RopeScaling::kYarn ? 1.0F : 0.0F,
                    rope.attention_factor, rope.beta_fast, rope.beta_slow);
  ggml_cgraph* graph = ggml_new_graph(ctx);
  ggml_build_forward_expand(graph, out);
  EXPECT_EQ(ggml_graph_compute_with_ctx(ctx, graph, 1), GGML_STATUS_SUCCESS);
  return {ggml_get_data_f32(out), ggml_get_data_f32(out) + rope.dims};
}

TEST(RopeTest, table_equals_ggmls_rotation) {
  const std::vector<float> factors = {1.0F, 2.0F, 1.5F, 8.0F, 1.0F, 4.0F, 1.25F, 3.0F,
                                      1.0F, 2.0F, 1.5F, 8.0F, 1.0F, 4.0F, 1.25F, 3.0F};
  for (const Rope& rope :
       {Rope{.dims = 32}, Rope{.dims = 32, .base = 500000.0F},
        Rope{.dims = 32, .scaling = RopeScaling::kLinear, .factor = 4.0F},
        Rope{.dims = 32, .scaling = RopeScaling::kYarn, .factor = 8.0F, .original_context = 64},
        Rope{.dims = 32,
             .base = 1e6F,
             .scaling = RopeScaling::kYarn,
             .factor = 2.5F,
             .original_context = 4096,
             .attention_factor = 1.3F,
             .beta_fast = 16.0F,
             .beta_slow = 2.0F}}) {
    for (const bool has_factors : {false, true}) {
      const auto used = has_factors ? factors : std::vector<float>();
      const RopeTable table = rope_table(rope, used);
      ASSERT_EQ(table.frequencies.size(), 16U);
      for (const int32_t position : {0, 1, 77}) {
        const auto expected = turned_by_ggml(rope, used, position);
        for (size_t i = 0; i < 16; ++i) {
          const double angle = position * table.frequencies[i];
          EXPECT_NEAR(expected[2 * i], table.magnitude * std::cos(angle), 1e-4);
          EXPECT_NEAR(expected[2 * i + 1], table.magnitude * std::sin(angle), 1e-4);
        }
      }
    }
  }
}

}  // namespace
}  // namespace pie::model
