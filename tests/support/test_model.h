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

#ifdef PIE_TEST_CODER
/// Qwen2.5-Coder 0.5B Instruct: $PIE_TEST_CODER, or what the build was configured with.
inline std::filesystem::path coder_path() {
  const char* from_environment = std::getenv("PIE_TEST_CODER");
  return from_environment != nullptr ? from_environment : PIE_TEST_CODER;
}
#endif

}  // namespace pie::test
