#include "instance/http_instance.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "host/test_ports.h"
#include "instance/test_instances.h"

namespace pie::instance {
namespace {

struct HttpInstanceTest : testing::Test {
  std::shared_ptr<HttpInstance> make(uint16_t port = 0) {
    return std::make_shared<HttpInstance>(HttpInstance::Parts{.host = host,
                                                              .threads = threads,
                                                              .sockets = {.port = port},
                                                              .begin_run =
                                                                  [](host::LaunchSpec& run) {
                                                                    run.id = InstanceId(1);
                                                                    return nullptr;
                                                                  },
                                                              .spec = {.ports = ports}});
  }
  bool has_ended() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (ports->ends().empty()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  test::PuppetHost host;
  std::shared_ptr<host::test::RecordingPorts> ports =
      std::make_shared<host::test::RecordingPorts>();
  net::IoThreads threads{1};
};

TEST_F(HttpInstanceTest, ends_once_its_port_is_free) {
  const auto instance = make();
  ASSERT_TRUE(instance->start().ok());
  EXPECT_TRUE(ports->ends().empty());
  instance->terminate({EndKind::kAborted, "Signal termination"});
  instance->terminate({EndKind::kServerError, "too late"});
  ASSERT_TRUE(has_ended());
  EXPECT_EQ(ports->ends()[0].message, "Signal termination");
}

TEST_F(HttpInstanceTest, terminated_before_its_start_it_never_listens) {
  const auto instance = make();
  instance->terminate({EndKind::kAborted, "Signal termination"});
  EXPECT_TRUE(ports->ends().empty());
  ASSERT_TRUE(instance->start().ok());
  ASSERT_EQ(ports->ends().size(), 1U);
  EXPECT_EQ(ports->ends()[0].message, "Signal termination");
}

TEST_F(HttpInstanceTest, a_port_that_is_taken_is_told_by_start_alone) {
  auto taken = net::HttpServer::listen(threads, {}, [](const auto&) {});
  ASSERT_TRUE(taken.ok());
  const auto instance = make((*taken)->port());
  const auto started = instance->start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(ports->ends().empty());
}

}  // namespace
}  // namespace pie::instance
