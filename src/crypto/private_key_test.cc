#include "crypto/private_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/file.h"
#include "crypto/base64.h"
#include "crypto/bcrypt_pbkdf.h"
#include "crypto/blake3.h"

namespace pie::crypto {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// Keys are made by ssh-keygen and openssl when the test runs, and openssl judges the signatures.
class PrivateKeyTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "pie-keys-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  void shell(const std::string& command) const {
    const std::string inside = "cd '" + folder_.string() + "' && " + command + " >log 2>&1";
    ASSERT_EQ(std::system(inside.c_str()), 0) << command << "\n" << *read_file(path("log"));
  }

  Result<PrivateKey> parse(const std::string& name,
                           std::optional<std::string_view> passphrase = {}) const {
    const Result<std::string> text = read_file(path(name));
    if (!text.ok()) return text.error();
    return PrivateKey::parse(*text, passphrase);
  }

  std::string refusal(const std::string& name,
                      std::optional<std::string_view> passphrase = {}) const {
    const Result<PrivateKey> key = parse(name, passphrase);
    return key.ok() ? "it was taken" : key.error().message;
  }

  /// Signs with our code, verifies with openssl and the public half of `pem_name`.
  void expect_signs(const PrivateKey& key, const std::string& pem_name,
                    const std::string& verify_options) const {
    std::string challenge(48, '\0');
    for (size_t i = 0; i < challenge.size(); ++i) challenge[i] = static_cast<char>(i * 37);
    const Result<std::string> signature = key.sign(challenge);
    ASSERT_TRUE(signature.ok()) << signature.error().message;
    ASSERT_TRUE(write_file_atomically(path("challenge"), challenge).ok());
    ASSERT_TRUE(write_file_atomically(path("signature"), *signature).ok());
    shell("openssl pkeyutl -verify -inkey " + pem_name + " -rawin " + verify_options +
          " -in challenge -sigfile signature");
  }

  fs::path folder_;
};

struct SshKind {
  const char* options;
  KeyKind kind;
  int bits;
  const char* verify_options;
};
constexpr SshKind kSshKinds[] = {
    {"-t rsa -b 2048", KeyKind::kRsa, 2048, "-digest sha256 -pkeyopt rsa_padding_mode:pkcs1"},
    {"-t rsa -b 3072", KeyKind::kRsa, 3072, "-digest sha256 -pkeyopt rsa_padding_mode:pkcs1"},
    {"-t ecdsa -b 256", KeyKind::kEcdsaP256, 256, "-digest sha256"},
    {"-t ecdsa -b 384", KeyKind::kEcdsaP384, 384, "-digest sha384"},
};

TEST_F(PrivateKeyTest, openssh_keys_sign_what_openssl_verifies) {
  for (const SshKind& kind : kSshKinds) {
    const std::string make = std::string("ssh-keygen -q -N '' ") + kind.options;
    shell("rm -f k k.pub p && " + make + " -f k && cp k p && ssh-keygen -q -p -N '' -m PEM -f p");
    const Result<PrivateKey> key = parse("k");
    ASSERT_TRUE(key.ok()) << kind.options << ": " << key.error().message;
    EXPECT_EQ(key->kind(), kind.kind);
    EXPECT_EQ(key->bits(), kind.bits);
    expect_signs(*key, "p", kind.verify_options);
    // The PEM that ssh-keygen writes (PKCS#1, SEC1) is the same key.
    const Result<PrivateKey> pem = parse("p");
    ASSERT_TRUE(pem.ok()) << kind.options << ": " << pem.error().message;
    expect_signs(*pem, "p", kind.verify_options);
  }
}

TEST_F(PrivateKeyTest, an_openssh_ed25519_key_signs_what_ssh_keygen_knows) {
  shell("ssh-keygen -q -t ed25519 -N '' -C '' -f k");
  const Result<PrivateKey> key = parse("k");
  ASSERT_TRUE(key.ok()) << key.error().message;
  // The public half in SPKI: RFC 8410's prefix and the last 32 bytes of the SSH blob.
  const std::string line = *read_file(path("k.pub"));
  const std::string blob = *base64_decode(line.substr(12));
  const std::string spki = std::string("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 12) +
                           blob.substr(blob.size() - 32);
  ASSERT_TRUE(write_file_atomically(path("pub"), "-----BEGIN PUBLIC KEY-----\n" +
                                                     base64_encode(spki) +
                                                     "\n-----END PUBLIC KEY-----\n")
                  .ok());
  expect_signs(*key, "pub -pubin", "");
}

TEST_F(PrivateKeyTest, encrypted_openssh_keys_open_with_their_passphrase_only) {
  for (const std::string cipher : {"aes256-ctr", "aes128-cbc", "aes256-gcm@openssh.com"}) {
    shell("rm -f k k.pub && ssh-keygen -q -t ed25519 -a 3 -Z " + cipher + " -N 'päss' -f k");
    const Result<PrivateKey> key = parse("k", "päss");
    EXPECT_TRUE(key.ok()) << cipher << ": " << key.error().message;
    EXPECT_THAT(refusal("k", "wrong"), HasSubstr("wrong passphrase")) << cipher;
    EXPECT_THAT(refusal("k"), HasSubstr("encrypted key and no passphrase")) << cipher;
  }
  shell(
      "rm -f k k.pub && ssh-keygen -q -t ed25519 -a 1 -Z chacha20-poly1305@openssh.com -N x -f k");
  EXPECT_THAT(refusal("k", "x"), HasSubstr("unsupported cipher 'chacha20-poly1305@openssh.com'"));
}

TEST_F(PrivateKeyTest, pkcs8_keys_plain_and_encrypted) {
  shell("openssl genpkey -algorithm ed25519 -out k");
  const Result<PrivateKey> plain = parse("k");
  ASSERT_TRUE(plain.ok()) << plain.error().message;
  expect_signs(*plain, "k", "");
  shell("openssl pkcs8 -topk8 -in k -out e -passout pass:secret");
  const Result<PrivateKey> opened = parse("e", "secret");
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  expect_signs(*opened, "k", "");
  EXPECT_THAT(refusal("e", "wrong"), HasSubstr("wrong passphrase"));
  EXPECT_THAT(refusal("e"), HasSubstr("no passphrase"));
}

TEST_F(PrivateKeyTest, weak_and_unsupported_keys_say_why) {
  shell(
      "ssh-keygen -q -t rsa -b 1024 -N '' -f weak && ssh-keygen -q -t ecdsa -b 521 -N '' -f p521 "
      "&& openssl genpkey -algorithm ed448 -out ed448 && openssl genpkey -algorithm EC -pkeyopt "
      "ec_paramgen_curve:secp256k1 -out k1 && openssl genrsa -out weak_pem 1024");
  EXPECT_THAT(refusal("weak"), HasSubstr("weak RSA key of 1024 bits, expected 2048 or more"));
  EXPECT_THAT(refusal("weak_pem"), HasSubstr("weak RSA key of 1024 bits"));
  EXPECT_THAT(refusal("p521"), HasSubstr("unsupported kind 'ecdsa-sha2-nistp521'"));
  EXPECT_THAT(refusal("ed448"), HasSubstr("unsupported kind 'ED448'"));
  EXPECT_THAT(refusal("k1"), HasSubstr("unsupported kind 'ECDSA on secp256k1'"));
  EXPECT_THAT(refusal("p521.pub"), HasSubstr("public key"));
}

TEST_F(PrivateKeyTest, what_is_no_key_or_only_part_of_one_is_refused) {
  EXPECT_FALSE(PrivateKey::parse("").ok());
  EXPECT_FALSE(PrivateKey::parse("hello").ok());
  EXPECT_FALSE(
      PrivateKey::parse("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----").ok());
  shell("ssh-keygen -q -t rsa -b 2048 -N '' -f k");
  const std::string text = *read_file(path("k"));
  for (size_t at = 40; at + 40 < text.size(); at += 97) {
    std::string cut = text;
    cut.erase(at, 4);
    EXPECT_FALSE(PrivateKey::parse(text.substr(0, at)).ok()) << at;
    EXPECT_FALSE(PrivateKey::parse(cut).ok()) << at;
  }
}

TEST(Bcrypt, key_lengths_that_are_no_multiple_of_the_hash_are_filled) {
  const std::string one = bcrypt_pbkdf("password", "salt", 48, 1);
  EXPECT_EQ(one.size(), 48u);
  EXPECT_NE(one, bcrypt_pbkdf("password", "salt", 48, 2));
  EXPECT_NE(one, bcrypt_pbkdf("password", "pepper", 48, 1));
}

TEST(Base64, comes_back_and_refuses_what_it_is_not) {
  for (size_t size = 0; size < 40; ++size) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(251 * i + size);
    EXPECT_EQ(*base64_decode(base64_encode(bytes)), bytes);
  }
  EXPECT_EQ(base64_encode("Man"), "TWFu");
  EXPECT_EQ(*base64_decode("TW\nE="), "Ma");
  for (const char* wrong : {"T", "TWF", "TW=u", "=AAA", "TW-u", "A===", "\xff\xff\xff\xff"}) {
    EXPECT_FALSE(base64_decode(wrong).ok()) << wrong;
  }
}

TEST(Blake3, agrees_with_the_published_vectors_and_takes_pieces) {
  // The reference's test_vectors.json, input of 0 bytes.
  EXPECT_EQ(blake3_hex(""), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
  Blake3 pieces;
  for (const char* piece : {"he", "", "llo"}) pieces.update(piece);
  EXPECT_EQ(pieces.hex(), blake3_hex("hello"));
  EXPECT_TRUE(is_blake3_hex(blake3_hex("x")));
  EXPECT_FALSE(is_blake3_hex(std::string(64, 'A')));
  EXPECT_FALSE(is_blake3_hex("abc"));
}

TEST_F(PrivateKeyTest, a_cipher_that_is_not_served_is_no_wrong_passphrase) {
  shell("openssl genrsa -traditional -out k 2048");
  const std::string legacy = " -provider legacy -provider default -passout pass:pw -in k ";
  shell("openssl rsa -traditional -des -out old" + legacy);
  shell("openssl rsa -traditional -des3 -out served" + legacy);
  shell("openssl pkcs8 -topk8 -v1 PBE-MD5-DES -out v1" + legacy);
  shell("openssl pkcs8 -topk8 -v2 bf-cbc -out v2" + legacy);
  shell("openssl pkcs8 -topk8 -scrypt -out scrypt" + legacy);
  EXPECT_THAT(refusal("old", "pw"), HasSubstr("a cipher that is not served: DES-CBC"));
  EXPECT_THAT(refusal("v1", "pw"), HasSubstr("a cipher that is not served"));
  EXPECT_THAT(refusal("v2", "pw"), HasSubstr("a cipher that is not served"));
  for (const std::string name : {"served", "scrypt"}) {
    EXPECT_EQ(refusal(name, "pw"), "it was taken");
    EXPECT_THAT(refusal(name, "other"), HasSubstr("got a wrong passphrase"));
    EXPECT_THAT(refusal(name), HasSubstr("no passphrase"));
  }
}

TEST_F(PrivateKeyTest, a_file_of_two_keys_is_refused) {
  shell("ssh-keygen -q -t ed25519 -N '' -f a && ssh-keygen -q -t ed25519 -N '' -f b");
  shell("openssl ecparam -name prime256v1 -genkey -out c");  // with its parameters in front
  shell("{ cat a b > two && cat a c > mixed; }");
  EXPECT_EQ(refusal("c"), "it was taken");
  EXPECT_THAT(refusal("two"), HasSubstr("got 2 private keys in one file, expected one"));
  EXPECT_THAT(refusal("mixed"), HasSubstr("got 2 private keys in one file, expected one"));
}

}  // namespace
}  // namespace pie::crypto
