#include "host/pass_result.h"

#include <gtest/gtest.h>

#include "wasm/guest_error.h"

namespace pie::host {
namespace {

std::shared_ptr<PassResult> make_result(const std::shared_ptr<HostMemory>& memory,
                                        uint64_t pass_bytes) {
  Charge pass(memory);
  pass.add(pass_bytes);
  return std::make_shared<PassResult>(std::move(pass), memory);
}

engine::ForwardPass one_token_one_distribution() {
  engine::ForwardPass pass;
  pass.tokens.resize(1);
  pass.distributions.push_back({.top_k = 4});
  return pass;
}

TEST(PassResult, each_get_takes_and_the_second_gives_nothing) {
  auto memory = std::make_shared<HostMemory>(1000);
  auto result = make_result(memory, 0);
  EXPECT_FALSE(result->ready());
  result->complete({.tokens = {7}, .distributions = {{{1, 2}, {0.5F, 0.25F}}}});
  ASSERT_TRUE(result->ready());
  EXPECT_EQ(result->take_tokens(), std::vector<TokenId>{7});
  EXPECT_TRUE(result->take_tokens().empty());
  ASSERT_EQ(result->take_distributions().size(), 1U);
  EXPECT_TRUE(result->take_distributions().empty());
}

TEST(PassResult, memory_is_given_back_when_the_engine_is_done_and_when_it_is_taken) {
  auto memory = std::make_shared<HostMemory>(1000);
  auto result = make_result(memory, 100);
  ASSERT_TRUE(result->reserve_output(one_token_one_distribution(), 100).ok());
  const uint64_t pending_bytes = memory->used_bytes();
  EXPECT_GT(pending_bytes, 100U);
  result->complete({.tokens = {7}, .distributions = {{{1}, {1.0F}}}});
  EXPECT_EQ(memory->used_bytes(), pending_bytes - 100);
  result->take_tokens();
  EXPECT_EQ(memory->used_bytes(), pending_bytes - 100);
  result->take_distributions();  // a program that never drops its handles holds nothing more
  EXPECT_EQ(memory->used_bytes(), 0U);
}

TEST(PassResult, passes_without_end_hit_the_limit) {
  auto memory = std::make_shared<HostMemory>(1000);
  std::vector<std::shared_ptr<PassResult>> pending;
  EXPECT_THROW(for (int i = 0; i < 100; ++i) pending.push_back(make_result(memory, 50)),
               wasm::LimitError);
  EXPECT_EQ(pending.size(), 20U);
  pending.clear();
  EXPECT_EQ(memory->used_bytes(), 0U);
}

TEST(PassResult, wakes_who_waits) {
  auto result = make_result(std::make_shared<HostMemory>(1000), 0);
  int woken = 0;
  result->add_waiter([&] { ++woken; });
  result->complete({});
  EXPECT_EQ(woken, 1);
}

}  // namespace
}  // namespace pie::host
