#include "client/archive.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/archive.h"
#include "base/file.h"

namespace pie::client {
namespace {

namespace fs = std::filesystem;

uint32_t number(const std::string& bytes, size_t at, int size) {
  uint32_t value = 0;
  for (int i = size - 1; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

/// "name=content" of each entry, found through the directory at its end.
std::vector<std::string> entries_of(const std::string& zip) {
  std::vector<std::string> entries;
  const size_t end = zip.size() - 22;
  EXPECT_EQ(zip.substr(end, 4), "PK\5\6");
  size_t at = number(zip, end + 16, 4);
  for (uint32_t i = 0; i < number(zip, end + 10, 2); ++i) {
    EXPECT_EQ(zip.substr(at, 4), "PK\1\2");
    const uint32_t size = number(zip, at + 24, 4), name_size = number(zip, at + 28, 2);
    const uint32_t local = number(zip, at + 42, 4);
    EXPECT_EQ(zip.substr(local, 4), "PK\3\4");
    EXPECT_EQ(zip.substr(local + 14, 4), zip.substr(at + 16, 4)) << "the checksum";
    const std::string name = zip.substr(at + 46, name_size);
    EXPECT_EQ(zip.substr(local + 30, name_size), name);
    entries.push_back(name + "=" + zip.substr(local + 30 + name_size, size));
    at += 46 + name_size;
  }
  EXPECT_EQ(at, end);
  return entries;
}

using Entries = std::vector<std::string>;

struct ArchiveTest : testing::Test {
  void SetUp() override { fs::create_directories(folder); }
  void TearDown() override { fs::remove_all(folder); }
  void write(const std::string& name, const std::string& content) const {
    fs::create_directories((folder / name).parent_path());
    ASSERT_TRUE(write_file_atomically(folder / name, content).ok());
  }
  static std::string bytes_of(const UploadSource& source) {
    std::vector<uint8_t> bytes(source.size_bytes);
    EXPECT_TRUE(source.read(0, bytes).ok());
    return {bytes.begin(), bytes.end()};
  }
  static std::string uploaded(const fs::path& path) {
    auto source = program_source(path);
    EXPECT_TRUE(source.ok()) << source.error().message;
    return source.ok() ? bytes_of(*source) : "";
  }

  const fs::path folder = fs::path(testing::TempDir()) / "pie_archive_test";
};

TEST_F(ArchiveTest, equal_files_make_equal_archives_in_whatever_order) {
  const auto one = make_archive({{"b.py", "B"}, {"a/x.py", ""}, {"a.py", "A"}});
  const auto two = make_archive({{"a.py", "A"}, {"b.py", "B"}, {"a/x.py", ""}});
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(*one, *two);
  EXPECT_EQ(entries_of(*one), (Entries{"a.py=A", "a/x.py=", "b.py=B"}));
  // The checksum of "123456789" in the definition of CRC-32.
  EXPECT_EQ(number(*make_archive({{"a", "123456789"}}), 14, 4), 0xcbf43926);
}

TEST_F(ArchiveTest, a_single_file_keeps_its_name) {
  write("agent.py", "print(1)\n");
  EXPECT_EQ(entries_of(uploaded(folder / "agent.py")), (Entries{"agent.py=print(1)\n"}));
}

TEST_F(ArchiveTest, a_folder_has_what_is_below_it_but_for_hidden_files_and_caches) {
  write("__main__.py", "m");
  write("data/words.txt", "w");
  write("tool/__init__.py", "t");
  for (const char* left : {".git/config", ".env", "tool/__pycache__/x.pyc", "tool/.hidden.py"})
    write(left, "no");
  fs::create_symlink(folder / "nowhere", folder / "dangling");
  const Entries expected = {"__main__.py=m", "data/words.txt=w", "tool/__init__.py=t"};
  EXPECT_EQ(entries_of(uploaded(folder)), expected);
  EXPECT_EQ(entries_of(uploaded(folder / "")), expected);
}

TEST_F(ArchiveTest, other_files_go_as_they_are) {
  write("p.wasm", "wasm");
  EXPECT_EQ(uploaded(folder / "p.wasm"), "wasm");
  write("p.zip", "PK\3\4 whatever");
  EXPECT_EQ(uploaded(folder / "p.zip"), "PK\3\4 whatever");
}

TEST_F(ArchiveTest, what_cannot_be_a_program_is_told) {
  EXPECT_EQ(program_source(folder / "absent.py").error().code, ErrorCode::kNotFound);
  EXPECT_NE(program_source(folder).error().message.find("without files"), std::string::npos);
  write("large.bin", "");
  fs::resize_file(folder / "large.bin", kArchiveBytesMax + 1);
  EXPECT_NE(program_source(folder).error().message.find("expected at most 67108864"),
            std::string::npos);
  EXPECT_EQ(make_archive({{"\xff.py", ""}}).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ArchiveTest, a_word_is_a_path_when_it_can_only_be_one) {
  write("agent/__main__.py", "");
  write("name/tool.cc", "");
  EXPECT_TRUE(is_program_path("absent.py"));
  EXPECT_TRUE(is_program_path((folder / "agent").string()));
  EXPECT_FALSE(is_program_path("text-completion"));
  const fs::path before = fs::current_path();
  fs::current_path(folder);
  EXPECT_TRUE(is_program_path("agent"));
  EXPECT_FALSE(is_program_path("name"));
  EXPECT_TRUE(is_program_path("./name"));
  EXPECT_TRUE(is_program_path("name/"));
  fs::current_path(before);
}

}  // namespace
}  // namespace pie::client
