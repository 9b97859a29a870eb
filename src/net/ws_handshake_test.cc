#include "net/ws_handshake.h"

#include <gtest/gtest.h>

#include <string>

namespace pie::net {
namespace {

std::string handshake(const std::string& fields, const std::string& host = "127.0.0.1:8080") {
  return "GET / HTTP/1.1\r\nHost: " + host +
         "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
         fields + "\r\n";
}

/// The status that it is refused with; 0: it is taken.
int refusal(const std::string& head, const OriginPolicy& policy) {
  UpgradeRequest request;
  const auto fault = parse_handshake(head, policy, request);
  return fault ? fault->status : 0;
}

TEST(Handshake, a_page_of_a_browser_is_refused_unless_its_origin_is_allowed) {
  const OriginPolicy none, some{.allowed = {"https://App.example", "null"}}, any{.allowed = {"*"}};
  const std::string page = handshake("Origin: https://app.example\r\n");
  EXPECT_EQ(refusal(handshake(""), none), 0);
  EXPECT_EQ(refusal(page, none), 403);
  EXPECT_EQ(refusal(page, some), 0);
  EXPECT_EQ(refusal(page, any), 0);
  EXPECT_EQ(refusal(handshake("Origin: null\r\n"), none), 403);
  EXPECT_EQ(refusal(handshake("Origin: null\r\n"), some), 0);
  for (const char* other : {"http://app.example", "https://app.example.evil.example",
                            "https://evil.example", "https://app.example:8443", ""})
    EXPECT_EQ(refusal(handshake(std::string("Origin: ") + other + "\r\n"), some), 403) << other;
  EXPECT_EQ(refusal(handshake("Origin: https://app.example\r\nOrigin: null\r\n"), some), 403);
}

TEST(Handshake, a_page_reaches_a_loopback_server_by_its_own_name_alone) {
  const OriginPolicy policy{.allowed = {"*"}, .by_loopback_alone = true};
  const std::string page = "Origin: https://app.example\r\n";
  for (const char* host : {"127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:9", "127.9.9.9"})
    EXPECT_EQ(refusal(handshake(page, host), policy), 0) << host;
  for (const char* host : {"evil.example:8080", "10.0.0.1", "127.0.0.1.evil.example", "", "a b"})
    EXPECT_EQ(refusal(handshake(page, host), policy), 403) << host;
  EXPECT_EQ(refusal(handshake("", "evil.example"), policy), 0);  // no browser
}

TEST(Handshake, what_is_none_is_told_so) {
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost: x\r\n\r\n", {}), 426);
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost: x\r\nOrigin: https://e.example\r\n\r\n", {}), 403);
  EXPECT_EQ(refusal("nonsense\r\n\r\n", {}), 400);
  EXPECT_EQ(refusal(handshake("Transfer-Encoding: gzip\r\n"), {}), 501);
}

TEST(Handshake, an_origin_of_the_configuration_is_one) {
  EXPECT_TRUE(
      check_origins({.allowed = {"https://a.example:1", "null", "*", "http://[::1]"}}).ok());
  for (const char* wrong : {"", "a.example", "https://", "https://a/b", "https://a/"}) {
    const auto checked = check_origins({.allowed = {wrong}});
    ASSERT_FALSE(checked.ok()) << wrong;
    EXPECT_NE(checked.error().message.find("[origins_allow] got '"), std::string::npos);
  }
}

}  // namespace
}  // namespace pie::net
