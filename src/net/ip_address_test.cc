#include "net/ip_address.h"

#include <gtest/gtest.h>

#include <string>

namespace pie::net {
namespace {

IpAddress address(const std::string& text) {
  const auto parsed = IpAddress::parse(text);
  EXPECT_TRUE(parsed.has_value()) << text;
  return parsed.value_or(IpAddress{});
}

TEST(IpAddress, special_ranges_are_not_public) {
  for (const char* text : {"0.0.0.0",
                           "0.1.2.3",
                           "10.0.0.1",
                           "10.255.255.255",
                           "100.64.0.1",
                           "100.127.255.255",
                           "127.0.0.1",
                           "127.255.0.9",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.0.0.8",
                           "192.0.2.1",
                           "192.88.99.1",
                           "192.168.1.1",
                           "198.18.0.1",
                           "198.19.255.255",
                           "198.51.100.7",
                           "203.0.113.9",
                           "224.0.0.1",
                           "239.1.1.1",
                           "240.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "fc00::1",
                           "fdff::1",
                           "fe80::1",
                           "febf::1",
                           "ff02::1",
                           "2001:db8::1",
                           "2001::1",
                           "2002:7f00:1::",
                           "3fff::1",
                           "64:ff9b::7f00:1",
                           "100::1",
                           "::127.0.0.1"})
    EXPECT_FALSE(is_public(address(text))) << text;
}

TEST(IpAddress, others_are_public) {
  for (const char* text :
       {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1",
        "172.15.255.255", "172.32.0.1", "192.167.255.255", "198.17.255.255", "198.20.0.1",
        "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1", "2001:4860::8888"})
    EXPECT_TRUE(is_public(address(text))) << text;
}

TEST(IpAddress, one_that_is_mapped_into_ipv6_is_the_ipv4_address) {
  EXPECT_EQ(address("::ffff:127.0.0.1"), address("127.0.0.1"));
  EXPECT_FALSE(is_public(address("::ffff:10.0.0.1")));
  EXPECT_TRUE(is_public(address("::ffff:8.8.8.8")));
}

TEST(IpAddress, only_the_plain_ways_to_write_one_are_taken) {
  for (const char* text : {"", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1 ",
                           "[::1]", "fe80::1%eth0", "localhost", "1.2.3.4.5"})
    EXPECT_FALSE(IpAddress::parse(text).has_value()) << text;
}

TEST(LoopbackHost, is_an_address_or_a_name_that_can_only_be_this_machine) {
  for (const char* text :
       {"127.0.0.1", "127.255.0.9", "::1", "[::1]", "::ffff:127.0.0.1", "[::ffff:127.0.0.1]",
        "localhost", "LocalHost", "localhost.", "pie.localhost", "0:0:0:0:0:0:0:1"})
    EXPECT_TRUE(is_loopback_host(text)) << text;
  for (const char* text :
       {"", "0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "127.evil.example", "127.0.0.1.nip.io",
        "notlocalhost", "localhost.example", "128.0.0.1", "[127.0.0.1", "::2"})
    EXPECT_FALSE(is_loopback_host(text)) << text;
}

}  // namespace
}  // namespace pie::net
