#include "net/ws_client.h"

#include <gtest/gtest.h>

namespace pie::net {
namespace {

TEST(WsUrl, names_host_port_and_path) {
  const Result<WsUrl> plain = parse_ws_url("ws://127.0.0.1:8080");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->host + "|" + plain->port + "|" + plain->target, "127.0.0.1|8080|/");
  const Result<WsUrl> bare = parse_ws_url("ws://pie.local/some/path");
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(bare->host + "|" + bare->port + "|" + bare->target, "pie.local|80|/some/path");
  const Result<WsUrl> six = parse_ws_url("wss://[::1]:9");
  ASSERT_TRUE(six.ok());
  EXPECT_TRUE(six->tls);
  EXPECT_EQ(six->host + "|" + six->port, "::1|9");
}

TEST(WsUrl, refuses_what_is_no_address) {
  for (const char* wrong : {"", "127.0.0.1:8080", "http://a:1", "ws://", "ws://:80",
                            "ws://a:", "ws://a:x", "ws://a:65536", "ws://a:123456", "ws://[::1"}) {
    EXPECT_FALSE(parse_ws_url(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace pie::net
