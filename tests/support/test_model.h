#pragma once
#include <cstdlib>
#include <filesystem>

namespace pie::test {

/// The default model file: $PIE_TEST_MODEL, or what the build was configured with.
inline std::filesystem::path model_path() {
  const char* from_environment = std::getenv("PIE_TEST_MODEL");
  return from_environment != nullptr ? from_environment : PIE_TEST_MODEL;
}

#ifdef PIE_TEST_GEMMA
/// Gemma 3 270M: $PIE_TEST_GEMMA, or what the build was configured with.
inline std::filesystem::path gemma_path() {
  const char* from_environment = std::getenv("PIE_TEST_GEMMA");
  return from_environment != nullptr ? from_environment : PIE_TEST_GEMMA;
}
#endif

}  // namespace pie::test
