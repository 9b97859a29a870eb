#include "net/host_policy.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pie::net {
namespace {

IpAddress address(const std::string& text) {
  const auto parsed = IpAddress::parse(text);
  EXPECT_TRUE(parsed.has_value()) << text;
  return parsed.value_or(IpAddress{});
}

HostPolicy policy(const std::vector<std::string>& patterns) {
  auto parsed = HostPolicy::parse(patterns);
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return parsed.ok() ? std::move(*parsed) : HostPolicy();
}

/// "http://host:port" -> destination.
HttpDestination to(const std::string& url) {
  const size_t colon = url.find("://");
  auto made = parse_destination(url.substr(0, colon), url.substr(colon + 3));
  EXPECT_TRUE(made.ok()) << made.error().message;
  return made.ok() ? *made : HttpDestination{};
}

TEST(Destination, takes_names_and_addresses_with_ports) {
  const auto plain = to("http://API.Example.com");
  EXPECT_EQ(plain.host, "api.example.com");
  EXPECT_EQ(plain.port, 80);
  EXPECT_FALSE(plain.address.has_value());
  EXPECT_EQ(to("https://a.example").port, 443);
  EXPECT_EQ(to("https://a.example:8443").port, 8443);
  EXPECT_EQ(to("http://a.example.").host, "a.example");
  EXPECT_EQ(to("http://[::1]:9000").address, address("::1"));
  EXPECT_EQ(to("http://127.0.0.1:9000").address, address("127.0.0.1"));
}

TEST(Destination, refuses_what_could_be_read_in_two_ways) {
  for (const char* text : {"",
                           ":80",
                           "a b",
                           "user@host",
                           "host:",
                           "host:0",
                           "host:65536",
                           "host:8a",
                           "host/path",
                           "host:80:80",
                           "::1",
                           "[::1",
                           "[127.0.0.1]",
                           "127.1",
                           "0x7f000001",
                           "2130706433",
                           "0177.0.0.1",
                           "a..b",
                           "a.0x7f",
                           "-.1",
                           "h\xc3\xb6st",
                           "host\n"})
    EXPECT_FALSE(parse_destination("http", text).ok()) << text;
}

TEST(HostPolicy, a_name_allows_itself_on_the_schemes_own_ports) {
  const auto one = policy({"api.example.com"});
  EXPECT_TRUE(one.allows(to("http://api.example.com")));
  EXPECT_TRUE(one.allows(to("https://API.EXAMPLE.COM:443")));
  EXPECT_FALSE(one.allows(to("http://api.example.com:443")));
  EXPECT_FALSE(one.allows(to("https://api.example.com:8443")));
  EXPECT_FALSE(one.allows(to("https://example.com")));
  EXPECT_FALSE(one.allows(to("https://x.api.example.com")));
  EXPECT_FALSE(one.allows(to("https://api.example.com.evil.org")));
}

TEST(HostPolicy, scheme_and_port_narrow_and_widen) {
  const auto https_only = policy({"https://a.example"});
  EXPECT_TRUE(https_only.allows(to("https://a.example")));
  EXPECT_FALSE(https_only.allows(to("http://a.example")));
  const auto port = policy({"a.example:8443"});
  EXPECT_TRUE(port.allows(to("http://a.example:8443")));
  EXPECT_FALSE(port.allows(to("https://a.example")));
  EXPECT_TRUE(policy({"a.example:*"}).allows(to("http://a.example:1")));
}

TEST(HostPolicy, a_star_stands_for_the_names_below_and_not_for_the_name) {
  const auto below = policy({"*.example.org"});
  EXPECT_TRUE(below.allows(to("http://a.example.org")));
  EXPECT_TRUE(below.allows(to("http://a.b.example.org")));
  EXPECT_FALSE(below.allows(to("http://example.org")));
  EXPECT_FALSE(below.allows(to("http://badexample.org")));
  EXPECT_FALSE(below.allows(to("http://8.8.8.8")));
}

TEST(HostPolicy, names_reach_public_addresses_alone) {
  for (const char* pattern : {"a.example", "*.example", "*"}) {
    const auto one = policy({pattern});
    const auto there = to("http://a.example");
    EXPECT_TRUE(one.allows(there)) << pattern;
    EXPECT_TRUE(one.allows_address(there, address("8.8.8.8"))) << pattern;
    for (const char* inside :
         {"127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "::ffff:192.168.0.1"})
      EXPECT_FALSE(one.allows_address(there, address(inside))) << pattern << " " << inside;
  }
  EXPECT_TRUE(policy({"*"}).allows(to("http://8.8.8.8")));
  EXPECT_FALSE(policy({"*"}).allows(to("http://127.0.0.1")));
  EXPECT_FALSE(policy({"*"}).allows(to("http://[::ffff:127.0.0.1]")));
}

TEST(HostPolicy, private_addresses_must_be_named_by_address_or_range) {
  const auto one = policy({"http://127.0.0.1:9000", "10.0.0.0/8", "[fd00::]/8:*"});
  EXPECT_TRUE(one.allows(to("http://127.0.0.1:9000")));
  EXPECT_FALSE(one.allows(to("http://127.0.0.1:9001")));
  EXPECT_FALSE(one.allows(to("https://127.0.0.1:9000")));
  EXPECT_FALSE(one.allows(to("http://127.0.0.2:9000")));
  EXPECT_TRUE(one.allows(to("https://10.200.0.1")));
  EXPECT_FALSE(one.allows(to("https://11.0.0.1")));
  EXPECT_TRUE(one.allows(to("http://[fdff::1]:7")));
  EXPECT_FALSE(one.allows(to("http://[fe80::1]:7")));
  EXPECT_FALSE(one.allows(to("http://localhost:9000")));
}

TEST(HostPolicy, a_name_that_resolves_inside_needs_the_name_and_the_range) {
  const auto both = policy({"tool.internal:9000", "127.0.0.0/8:9000"});
  const auto there = to("http://tool.internal:9000");
  EXPECT_TRUE(both.allows(there));
  EXPECT_TRUE(both.allows_address(there, address("127.0.0.1")));
  EXPECT_FALSE(both.allows_address(there, address("10.0.0.1")));
}

TEST(HostPolicy, nothing_is_allowed_by_default) {
  EXPECT_FALSE(policy({}).allows(to("https://example.com")));
  EXPECT_FALSE(policy({}).allows_address(to("https://example.com"), address("8.8.8.8")));
}

TEST(HostPolicy, what_is_no_pattern_is_named) {
  for (const char* text : {"", "ftp://a.example", "http://", "a.example/path", "a.example:0",
                           "a.example:x", "a.example:", "*example.org", "a.*", "**", "10.0.0.0/33",
                           "10.0.0.0/", "[::1", "::1", "[10.0.0.1]", "a b", "1.2.3", "[::1]/129"}) {
    const auto parsed = HostPolicy::parse({text});
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_NE(parsed.error().message.find("[http_allow] got '" + std::string(text)),
              std::string::npos);
  }
}

}  // namespace
}  // namespace pie::net
