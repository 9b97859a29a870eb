#include "crypto/public_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "crypto/private_key.h"

namespace pie::crypto {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

/// Keys are made by ssh-keygen and openssl when the test runs.
class PublicKeyTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "pie-keys-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  void shell(const std::string& command) const {
    const std::string inside = "cd '" + folder_.string() + "' && { " + command + "; } >log 2>&1";
    ASSERT_EQ(std::system(inside.c_str()), 0) << command << "\n" << text("log");
  }
  std::string text(const std::string& name) const { return *read_file(folder_ / name); }
  static std::string refusal(const std::string& key) {
    const auto parsed = PublicKey::parse(key);
    return parsed.ok() ? "it was taken" : parsed.error().message;
  }

  fs::path folder_;
};

TEST_F(PublicKeyTest, verifies_what_the_private_half_signed_and_nothing_else) {
  for (const std::string kind :
       {"-t ed25519", "-t rsa -b 2048", "-t ecdsa -b 256", "-t ecdsa -b 384"}) {
    shell("rm -f k k.pub && ssh-keygen -q -N '' -C 'someone at home' " + kind + " -f k");
    const auto secret = PrivateKey::parse(text("k"));
    const auto open = PublicKey::parse(text("k.pub"));
    ASSERT_TRUE(secret.ok() && open.ok()) << kind << ": " << refusal(text("k.pub"));
    EXPECT_EQ(open->kind(), secret->kind());
    EXPECT_EQ(open->bits(), secret->bits());
    std::string signature = *secret->sign("the challenge");
    EXPECT_TRUE(open->verify("the challenge", signature)) << kind;
    EXPECT_FALSE(open->verify("the challengf", signature)) << kind;
    EXPECT_FALSE(open->verify("the challenge", "")) << kind;
    EXPECT_FALSE(open->verify("the challenge", signature.substr(1))) << kind;
    signature[signature.size() / 2] ^= 1;
    EXPECT_FALSE(open->verify("the challenge", signature)) << kind;
  }
}

TEST_F(PublicKeyTest, openssh_and_pem_forms_are_one_key_and_print_as_ssh_keygen_does) {
  for (const std::string kind : {"-t rsa -b 2048", "-t ecdsa -b 256", "-t ecdsa -b 384"}) {
    shell("rm -f k k.pub && ssh-keygen -q -N '' -C '' " + kind +
          " -f k && ssh-keygen -e -m PKCS8 -f k.pub | cat > pem && ssh-keygen -l -f k.pub > print "
          "&& cut -d' ' -f1,2 k.pub | tr -d '\\n' > line");
    const auto line = PublicKey::parse(text("k.pub"));
    const auto pem = PublicKey::parse(text("pem"));
    ASSERT_TRUE(line.ok() && pem.ok()) << kind << refusal(text("pem"));
    EXPECT_EQ(line->openssh_line(), text("line"));
    EXPECT_EQ(pem->openssh_line(), text("line"));
    EXPECT_THAT(text("print"), HasSubstr(pem->fingerprint() + " "));
  }
  shell("ssh-keygen -q -N '' -t rsa -b 2048 -f r && ssh-keygen -e -m PEM -f r.pub | cat > pkcs1");
  ASSERT_THAT(text("pkcs1"), StartsWith("-----BEGIN RSA PUBLIC KEY"));
  EXPECT_EQ(refusal(text("pkcs1")), "it was taken");
  shell("ssh-keygen -q -N '' -t ed25519 -f e && ssh-keygen -l -f e.pub > print");
  EXPECT_THAT(text("print"), HasSubstr(PublicKey::parse(text("e.pub"))->fingerprint() + " "));
}

TEST_F(PublicKeyTest, refuses_what_is_not_served_and_says_why) {
  shell(
      "ssh-keygen -q -t rsa -b 1024 -N '' -f weak && ssh-keygen -q -t ecdsa -b 521 -N '' -f p521 "
      "&& ssh-keygen -q -t ed25519 -N '' -f k && openssl genpkey -algorithm ed448 -out e && "
      "openssl pkey -in e -pubout -out ed448");
  EXPECT_THAT(refusal(text("weak.pub")), HasSubstr("weak RSA key of 1024 bits, expected 2048"));
  EXPECT_THAT(refusal(text("p521.pub")), HasSubstr("unsupported kind 'ecdsa-sha2-nistp521'"));
  EXPECT_THAT(refusal(text("ed448")), HasSubstr("unsupported kind 'ED448'"));
  EXPECT_THAT(refusal(text("k")), HasSubstr("got a private key"));
  EXPECT_THAT(refusal("  \n"), HasSubstr("got nothing"));
  EXPECT_THAT(refusal("hello world"), HasSubstr("unsupported kind 'hello'"));
  EXPECT_THAT(refusal("restrict " + text("k.pub")), HasSubstr("unsupported kind 'restrict'"));
  EXPECT_THAT(refusal("ssh-ed25519"), HasSubstr("alone"));
  EXPECT_THAT(refusal(std::string(1 << 20, 'x')), HasSubstr("too long"));
  const std::string line = text("k.pub");
  for (size_t size = 12; size < line.find(' ', 12); ++size)
    EXPECT_FALSE(PublicKey::parse(line.substr(0, size)).ok()) << size;
  EXPECT_THAT(refusal("ssh-rsa " + line.substr(12)), HasSubstr("another kind inside"));
}

TEST_F(PublicKeyTest, a_text_may_hold_several_keys_comments_and_a_byte_order_mark) {
  shell(
      "ssh-keygen -q -t ed25519 -N '' -f a && ssh-keygen -q -t ecdsa -N '' -f b && ssh-keygen -q "
      "-t rsa -b 2048 -N '' -f c && ssh-keygen -e -m PKCS8 -f c.pub | cat > pem");
  const std::string all = "\xEF\xBB\xBF# keys of the office\r\n\r\n" + text("a.pub") + text("pem") +
                          "\n  " + text("b.pub") + "# the end";
  const auto keys = PublicKey::parse_all(all);
  ASSERT_TRUE(keys.ok()) << keys.error().message;
  ASSERT_EQ(keys->size(), 3u);
  EXPECT_EQ((*keys)[0].openssh_line(), PublicKey::parse(text("a.pub"))->openssh_line());
  EXPECT_EQ((*keys)[1].openssh_line(), PublicKey::parse(text("c.pub"))->openssh_line());
  EXPECT_EQ((*keys)[2].openssh_line(), PublicKey::parse(text("b.pub"))->openssh_line());
  EXPECT_THAT(refusal(all), HasSubstr("got 3 keys in one text, expected one"));
  EXPECT_EQ(refusal("\xEF\xBB\xBF#\n" + text("a.pub")), "it was taken");
  const std::string wrong = refusal(text("a.pub") + "\n\x1b[31mssh-rsa AAAA\n");
  EXPECT_THAT(wrong, HasSubstr(R"(unsupported kind '\x1b[31mssh-rsa')"));
  EXPECT_THAT(wrong, HasSubstr("(line 3)"));
  EXPECT_THAT(refusal("# nothing\n"), HasSubstr("got nothing"));
  EXPECT_THAT(refusal("-----BEGIN PUBLIC KEY-----\nAAAA"), HasSubstr("cannot read"));
  EXPECT_THAT(refusal(std::string("\xFF\xFEs\0", 4)), HasSubstr("UTF-16"));
}

}  // namespace
}  // namespace pie::crypto
