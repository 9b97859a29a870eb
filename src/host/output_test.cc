#include "host/output.h"

#include <gtest/gtest.h>

#include "host/test_ports.h"
#include "wasm/guest_error.h"

namespace pie::host {
namespace {

struct OutputTest : testing::Test {
  std::shared_ptr<test::RecordingPorts> ports = std::make_shared<test::RecordingPorts>();
  std::shared_ptr<Ending> ending = std::make_shared<Ending>();
  Output output{ports, ending, 10};
};

TEST_F(OutputTest, everything_written_counts_against_one_limit) {
  output.write_stdout("1234");
  output.write_stderr("567");
  output.charge(3);
  EXPECT_THROW(output.charge(1), wasm::LimitError);
  EXPECT_EQ(ports->out(), "1234");
  EXPECT_EQ(ports->err(), "567");
}

TEST_F(OutputTest, stdio_over_the_limit_ends_the_instance_with_the_figures) {
  output.write_stdout("1234567");
  output.write_stdout("89abc");
  EXPECT_EQ(ports->out(), "1234567");
  // Also when the program returns before it is stopped.
  End end = ending->resolve({.kind = wasm::Outcome::Kind::kOk}, "");
  EXPECT_EQ(end.kind, EndKind::kOutOfResources);
  EXPECT_NE(end.message.find("used 7 bytes"), std::string::npos) << end.message;
  EXPECT_NE(end.message.find("allowed 10"), std::string::npos) << end.message;
}

TEST_F(OutputTest, writable_follows_the_log) {
  EXPECT_TRUE(output.writable()->ready());
  ports->set_writable_bytes(0);
  wasm::ReadinessRef event = output.writable();
  EXPECT_FALSE(event->ready());
  EXPECT_FALSE(output.writable()->ready());
  EXPECT_EQ(ports->waiting_count(), 1U);  // however often it is asked
  ports->set_writable_bytes(5);
  EXPECT_TRUE(event->ready());
  ports->set_writable_bytes(0);
  EXPECT_FALSE(output.writable()->ready());
  EXPECT_EQ(ports->waiting_count(), 1U);
}

TEST_F(OutputTest, writable_callback_may_come_after_the_instance) {
  auto other = std::make_unique<Output>(ports, ending, 10);
  ports->set_writable_bytes(0);
  wasm::ReadinessRef event = other->writable();
  other = nullptr;
  ports->set_writable_bytes(1);
  EXPECT_TRUE(event->ready());
}

}  // namespace
}  // namespace pie::host
