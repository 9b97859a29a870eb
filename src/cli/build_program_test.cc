// `pie build` against the SDK that the build assembles (PIE_SHARE names it).
#include "cli/build_program.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/file.h"
#include "cli/process.h"

namespace pie::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProgram = R"(
#include <pie/inferlet.h>
inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  return std::to_string(arguments.size());
}
)";

class BuildProgram : public testing::Test {
 protected:
  BuildProgram() : folder_(TemporaryFolder::create().value()) {
    const char* share = std::getenv("PIE_SHARE");
    options_.share = share != nullptr ? share : PIE_TEST_SHARE;
    options_.sources = {write("my_inferlet.cpp", kProgram)};
    options_.output = folder_.path() / "my_inferlet.wasm";
  }

  fs::path write(const std::string& name, const std::string& content) {
    const fs::path path = folder_.path() / name;
    std::ofstream(path) << content;
    return path;
  }

  TemporaryFolder folder_;
  BuildOptions options_;
};

TEST_F(BuildProgram, one_file_becomes_a_component_with_the_functions_names) {
  const auto built = build_program(options_);
  ASSERT_TRUE(built.ok()) << built.error().message;
  const std::string bytes = read_file(*built).value();
  EXPECT_EQ(bytes.substr(0, 8), std::string("\0asm\x0d\0\x01\0", 8)) << "a component's header";
  EXPECT_NE(bytes.find("inferlet:core/run"), std::string::npos);
  EXPECT_NE(bytes.find("inferlet_main("), std::string::npos) << "backtraces need names";
}

TEST_F(BuildProgram, manifest_goes_beside_the_program) {
  options_.manifest = write("given.toml", "[package]\nname = \"me/mine\"\n");
  ASSERT_TRUE(build_program(options_).ok());
  EXPECT_EQ(read_file(folder_.path() / "my_inferlet.toml").value(),
            "[package]\nname = \"me/mine\"\n");
}

TEST_F(BuildProgram, source_that_does_not_compile_leaves_no_program) {
  options_.sources = {write("bad.cpp", "int main( {\n")};
  const auto built = build_program(options_);
  ASSERT_FALSE(built.ok());
  EXPECT_EQ(built.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(built.error().message.find("bad.cpp"), std::string::npos);
  EXPECT_FALSE(fs::exists(options_.output));
}

TEST_F(BuildProgram, missing_source_sdk_and_compiler_are_named) {
  BuildOptions options = options_;
  options.sources = {folder_.path() / "missing.cpp"};
  EXPECT_NE(build_program(options).error().message.find("missing.cpp"), std::string::npos);

  options = options_;
  options.share = folder_.path();
  EXPECT_NE(build_program(options).error().message.find("PIE_SHARE"), std::string::npos);

  ::setenv("PIE_CLANG", "/nowhere/clang", 1);
  EXPECT_NE(build_program(options_).error().message.find("/nowhere/clang"), std::string::npos);
  ::unsetenv("PIE_CLANG");
}

}  // namespace
}  // namespace pie::cli
