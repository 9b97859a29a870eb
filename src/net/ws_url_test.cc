#include "net/ws_url.h"

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

TEST(WsUrl, takes_every_case_of_the_scheme_and_a_query_without_a_path) {
  for (const char* text : {"WS://h:1", "Ws://h:1"}) EXPECT_TRUE(parse_ws_url(text).ok()) << text;
  const Result<WsUrl> secure = parse_ws_url("WSS://h?x=y/z");
  ASSERT_TRUE(secure.ok());
  EXPECT_TRUE(secure->tls);
  EXPECT_EQ(secure->host + "|" + secure->port + "|" + secure->target, "h|443|/?x=y/z");
}

TEST(WsUrl, blames_what_is_wrong) {
  const auto reason = [](const char* text) {
    const auto url = parse_ws_url(text);
    return url.ok() ? "taken" : url.error().message;
  };
  for (const char* text : {"ws://h:1#f", "ws://h#f", "ws://h:1/p#f"})
    EXPECT_NE(reason(text).find("#fragment"), std::string::npos) << reason(text);
  for (const char* text : {"ws://user:pw@h:1", "ws://user@h", "wss://user:pw@[::1]:2/p"})
    EXPECT_NE(reason(text).find("a user before the @"), std::string::npos) << reason(text);
  EXPECT_NE(reason("ws://h:x").find("port"), std::string::npos);
  EXPECT_NE(reason("ws://[::1]x").find("bracket"), std::string::npos);
  EXPECT_NE(reason("http://h").find("ws://"), std::string::npos);
}

TEST(WsUrl, refuses_what_is_no_address) {
  for (const char* wrong : {"", "127.0.0.1:8080", "http://a:1", "ws://", "ws://:80",
                            "ws://a:", "ws://a:x", "ws://a:65536", "ws://a:123456", "ws://[::1"}) {
    EXPECT_FALSE(parse_ws_url(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace pie::net
