#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <set>
#include <span>
#include <vector>

#include "base/blob.h"
#include "base/content_hash.h"
#include "base/file.h"
#include "base/result.h"
#include "base/toml_text.h"
#include "base/utf8.h"

namespace pie {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return Error{ErrorCode::kInvalidArgument, "[half] got an odd number"};
  return n / 2;
}
Result<int> quarter(int n) {
  PIE_TRY_ASSIGN(const int h, half(n));
  return half(h);
}

TEST(Result, try_assign_passes_values_and_errors_on) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().code, ErrorCode::kInvalidArgument);
}

TEST(Utf8, replaces_each_bad_byte_and_keeps_good_text) {
  EXPECT_EQ(to_utf8("a\xFFz"), "a\xEF\xBF\xBDz");
  EXPECT_TRUE(is_utf8("h\xC3\xA9 \xF0\x9F\x98\x80"));
  EXPECT_FALSE(is_utf8("\xC0\xAF"));          // overlong
  EXPECT_FALSE(is_utf8("\xED\xA0\x80"));      // surrogate
  EXPECT_FALSE(is_utf8("\xF4\x90\x80\x80"));  // above U+10FFFF
}

TEST(Utf8, what_a_terminal_would_obey_is_escaped) {
  EXPECT_EQ(printable_text("h\xC3\xA9\n\tok"), "h\xC3\xA9\n\tok");
  EXPECT_EQ(printable_line("a\nb\tc\r"), "a\\nb\\tc\\x0d");
  EXPECT_EQ(printable_text("\x1b[2J\x07\x7f"), "\\x1b[2J\\x07\\x7f");
  EXPECT_EQ(printable_text("\xC2\x9B"
                           "1m"),
            "\\xc2\\x9b1m");  // a control of one byte
  EXPECT_EQ(printable_text("\xEF\xBB\xBF"
                           "k"),
            "\\xef\\xbb\\xbfk");  // a byte order mark
  EXPECT_EQ(printable_text("\xE2\x80\xAE"
                           "gpj"),
            "\\xe2\\x80\\xaegpj");  // right to left
  EXPECT_EQ(printable_text("\xFF"
                           "a\xE2\x28"),
            "\\xffa\\xe2(");
}

TEST(Utf8, stream_holds_a_split_character_at_every_cut) {
  const std::string text = "h\xC3\xA9llo \xF0\x9F\x98\x80 \xE2\x82\xAC";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    Utf8Stream stream;
    const std::string first = stream.push(std::string_view(text).substr(0, cut));
    const std::string second = stream.push(std::string_view(text).substr(cut));
    EXPECT_TRUE(is_utf8(first)) << cut;
    EXPECT_EQ(first + second + stream.finish(), text) << cut;
  }
}

TEST(Utf8, stream_does_not_hold_what_can_never_become_a_character) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("\xE2\x28"), "\xEF\xBF\xBD(");
  EXPECT_EQ(stream.push("\xE2\x82"), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(File, atomic_write_replaces_and_a_files_blob_reads_pieces) {
  const std::filesystem::path path = testing::TempDir() + "/pie_file_test";
  ASSERT_TRUE(write_file_atomically(path, "old").ok());
  ASSERT_TRUE(write_file_atomically(path, "hello world").ok());
  EXPECT_EQ(*read_file(path), "hello world");
  {
    auto blob = open_file_blob(path.string());
    ASSERT_TRUE(blob.ok());
    EXPECT_EQ((*blob)->size(), 11u);
    EXPECT_EQ((*blob)->read(6, 100)->size(), 5u);
    EXPECT_TRUE((*blob)->read(11, 1)->empty());
    EXPECT_TRUE((*blob)->read(UINT64_MAX, UINT64_MAX)->empty());
  }
  std::filesystem::remove(path);
  EXPECT_EQ(read_file(path).error().code, ErrorCode::kNotFound);
}

TEST(File, an_error_names_its_true_cause) {
  const std::filesystem::path path = testing::TempDir() + "/pie_file_causes";
  ASSERT_TRUE(write_file_atomically(path, "bytes").ok());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto read = read_file(path);
  const auto written = write_file_atomically(path, "other");
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(read.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(read.error().message.find("Too many open files"), std::string::npos);
  EXPECT_EQ(written.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(*read_file(path), "bytes");
  std::filesystem::remove(path);
}

TEST(ContentHash, every_byte_matters_and_cuts_do_not) {
  std::vector<std::byte> bytes(100);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
  const std::span all(bytes);
  const ContentHash whole = hash_content(all);
  EXPECT_EQ(whole.hex().size(), 32u);
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    ContentHasher hasher;
    hasher.update(all.first(cut));
    EXPECT_NE(hasher.hash(), cut < bytes.size() ? whole : ContentHash{}) << cut;
    hasher.update(all.subspan(cut));
    EXPECT_EQ(hasher.hash(), whole) << cut;
  }
  std::set<ContentHash> seen{whole};
  for (std::byte& byte : bytes) {
    byte ^= std::byte{1};
    EXPECT_TRUE(seen.insert(hash_content(all)).second);
    byte ^= std::byte{1};
  }
  // Trailing zeros count.
  EXPECT_NE(hash_content(std::vector<std::byte>(3)), hash_content(std::vector<std::byte>(4)));
}

TEST(TomlText, becomes_ascii_and_means_the_same) {
  const std::pair<const char*, const char*> documents[] = {
      {"a = 1 # é\n[ b ]\n", "a = 1 # ??\n[ b ]\n"},
      {"a = \"é\\\"😀\"", "a = \"\\U000000E9\\\"\\U0001F600\""},
      {"a = 'é\\\"' # x", "a = \"\\U000000E9\\\\\\\"\" # x"},
      {"a = \'\'\'\n'é\'\'\'\'\nb = ''", "a = \"\"\"\n'\\U000000E9'\"\"\"\nb = \"\""},
      {"a = \"\"\"é\"\"\"\"", "a = \"\"\"\\U000000E9\\\"\"\"\""},
      {"[[c]]\nd = [\n{},\n[+1]\n]\r\n\t", "[[c]]\nd = [\n{},\n[+1]\n]\r\n\t"},
  };
  for (const auto& [text, expected] : documents) {
    const auto ascii = ascii_toml(text);
    ASSERT_TRUE(ascii.ok()) << text << ascii.error().message;
    EXPECT_EQ(*ascii, expected);
  }
}

TEST(TomlText, what_the_parser_must_not_see_is_refused) {
  for (const char* wrong :
       {"é = 1", "a = \"x\" é", "a = 'x\\' é'", "a = \"\x01\"", "# \x7f", "\"é\né", "a\xff", "[)]",
        "a = [}", "a = ]", "a = [\n{]", "a = 1\n [[ (", "[\n"})
    EXPECT_FALSE(ascii_toml(wrong).ok()) << wrong;
  EXPECT_EQ(*ascii_toml("\xEF\xBB\xBF"
                        "a = 1\n"),
            "a = 1\n");
  EXPECT_FALSE(ascii_toml(std::string_view("[\0]", 3)).ok());
  EXPECT_NE(ascii_toml("a = 1\n\x02").error().message.find("line 2"), std::string::npos);
}

}  // namespace
}  // namespace pie
