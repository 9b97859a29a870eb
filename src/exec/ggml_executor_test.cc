#include "exec/ggml_executor.h"

#include <gtest/gtest.h>

#include "exec/executor_harness.h"

namespace pie::exec {
namespace {

std::unique_ptr<LogitsExecutor> make(std::shared_ptr<const model::Model> model,
                                     ExecutorConfig config = {.page_count = 64,
                                                              .thread_count = 1}) {
  return make_ggml_executor(std::move(model), config).value();
}

TEST(GgmlExecutorTest, any_page_size_and_thread_count) {
  const auto model = tiny_model();
  const auto tokens = tokens_at(some_ids(40, 6, 260), 0);
  const auto expected = run(*make(model), tokens, pages({0, 1, 2}), 0, all_rows(40));
  for (const uint32_t page_size : {1U, 7U, 64U}) {
    for (const uint32_t threads : {1U, 2U}) {
      const auto executor =
          make(model, {.page_count = 100, .page_size = page_size, .thread_count = threads});
      std::vector<KvPageId> table;
      for (uint32_t i = 0; i * page_size < 40; ++i) table.emplace_back((i * 37 + 5) % 100);
      expect_near(run(*executor, tokens, table, 0, all_rows(40)), expected, 0.05F);
    }
  }
}

TEST(GgmlExecutorTest, pages_of_another_size_have_another_layout) {
  const auto model = tiny_model();
  const ExecutorConfig larger{.page_count = 8, .page_size = 32, .thread_count = 1};
  EXPECT_NE(make(model, larger)->layout_id().value(), make(model)->layout_id().value());
}

}  // namespace
}  // namespace pie::exec
