#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace pie::cli {

/// Runs a program with this process's standard streams and waits for it. Returns its exit code
/// (128 + the signal, when one ended it); an error when it could not be started.
Result<int> run_process(const std::vector<std::string>& command);

/// A program by path, or by name among the folders of PATH.
std::optional<std::filesystem::path> find_executable(const std::string& name);

/// A fresh folder, removed with its content by the destructor.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> create();
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace pie::cli
