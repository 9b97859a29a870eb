#pragma once
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace pie::test {

/// A file that goes with the object, in a folder of its own.
class TempFile {
 public:
  explicit TempFile(const std::string& name) {
    std::string folder = (std::filesystem::temp_directory_path() / "pie_test_XXXXXX").string();
    folder_ = mkdtemp(folder.data());
    path_ = folder_ / name;
  }
  ~TempFile() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_, path_;
};

}  // namespace pie::test
