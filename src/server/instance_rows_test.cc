#include "server/instance_rows.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/test_clock.h"
#include "instance/arguments.h"
#include "protocol/codec.h"

namespace pie::server {
namespace {

/// Keeps nothing.
class NoRecords final : public store::InstanceRecords {
 public:
  void add(store::InstanceRecord, Done done) override { done({}); }
  void finished(const std::string&, const std::string&, uint64_t) override {}
  void remove(const std::string&, const std::string&) override {}
  std::unique_ptr<LogStorage> new_log(const std::string&, const std::string&) override {
    return nullptr;
  }
  Result<std::vector<store::StoredInstance>> recover() override {
    return std::vector<store::StoredInstance>();
  }
};

struct InstanceRowsTest : testing::Test {
  std::shared_ptr<instance::ManagedInstance> instance_with(std::vector<std::string> arguments) {
    arguments = instance::shortened_arguments(arguments, instance::kListedArgumentsBytesMax);
    return instance::ManagedInstance::make(
        {.record = {.id = "id",
                    .owner = "u",
                    .cmd_name = "std/p@1.0.0",
                    .arguments = std::move(arguments),
                    .launched_ns = clock.wall_ns()},
         .life = instance::LifeCycle(host::LaunchMode::kDetached, {}),
         .log = std::make_shared<instance::EventLog>(instance::LogLimits{}, nullptr)},
        records, clock);
  }

  NoRecords records;
  FakeClock clock;
};

TEST_F(InstanceRowsTest, a_row_says_what_the_wire_asks_for) {
  const auto one = instance_with({"a"});
  const auto rows = instance_rows({one}, clock.wall_ns() + 2'500'000'000);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].cmd_name, "std/p@1.0.0");
  EXPECT_EQ(rows[0].arguments, (std::vector<std::string>{"a"}));
  EXPECT_EQ(rows[0].status, "Detached");
  EXPECT_EQ(rows[0].username, "u");
  EXPECT_EQ(rows[0].elapsed_secs, 2U);
  EXPECT_EQ(rows[0].kv_pages_used, 0U);
}

TEST_F(InstanceRowsTest, a_list_has_every_row_and_fits_into_one_answer) {
  const auto rows =
      instance_rows({instance_with(std::vector<std::string>(200'000, "")),
                     instance_with({"short", std::string(100'000, 'y'), "\xE2\x82\xAC"}),
                     instance_with({std::string(14U << 20, 'x'), "after"})},
                    clock.wall_ns());
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_LT(encode(protocol::LiveInstances{1, rows}).size(), 300'000u);
  EXPECT_LT(rows[0].arguments.size(), 20'000u);
  EXPECT_EQ(rows[1].arguments[0], "short");
  EXPECT_NE(rows[1].arguments[1].find("bytes more)"), std::string::npos);
  EXPECT_NE(rows[2].arguments[0].find("\u2026"), std::string::npos);
}

}  // namespace
}  // namespace pie::server
