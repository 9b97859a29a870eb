#include <gtest/gtest.h>

#include "host/objects.h"
#include "host/test_engine.h"

namespace pie::host {
namespace {

TEST(QueueObjectTest, a_handle_that_is_dropped_closes_the_queue_and_counts_no_more) {
  test::ScriptedEngine engine(nullptr);
  const ModelService service(engine, 0);
  const auto live = std::make_shared<std::atomic<uint32_t>>(0);
  auto kept = std::make_shared<QueueObject>(service, engine.create_queue(InstanceId{1}), live);
  for (int i = 0; i < 100'000; ++i) QueueObject(service, engine.create_queue(InstanceId{1}), live);
  EXPECT_EQ(*live, 1u);
  EXPECT_EQ(engine.closed_queue_count, 100'000);
  kept.reset();
  EXPECT_EQ(*live, 0u);
}

}  // namespace
}  // namespace pie::host
