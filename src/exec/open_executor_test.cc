#include "exec/open_executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/executor_harness.h"

namespace pie::exec {
namespace {

using ::testing::HasSubstr;

TEST(OpenExecutorTest, auto_is_the_first_that_serves_the_model) {
  const auto served = tiny_model({.matrix_type = GGML_TYPE_Q8_0});
  const auto other = tiny_model({.embedding = 256, .ffn = 256, .matrix_type = GGML_TYPE_Q2_K});
  const ExecutorKind& first = executor_kinds().front();
  EXPECT_STREQ(first.name, "native");
  if (first.serves(*served)) EXPECT_EQ(find_executor_kind(*served, "auto").value(), &first);
  EXPECT_STREQ(find_executor_kind(*other, "auto").value()->name, "ggml");
}

TEST(OpenExecutorTest, a_named_one_is_taken_or_refused) {
  const auto other = tiny_model({.embedding = 256, .ffn = 256, .matrix_type = GGML_TYPE_Q2_K});
  EXPECT_STREQ(find_executor_kind(*tiny_model(), "ggml").value()->name, "ggml");
  const auto refused = find_executor_kind(*other, "native");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  const auto unknown = find_executor_kind(*other, "gpu");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(unknown.error().message, HasSubstr("auto, native or ggml"));
}

}  // namespace
}  // namespace pie::exec
