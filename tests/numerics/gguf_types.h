#pragma once
#include <ggml.h>

#include <filesystem>

namespace pie::test {

/// Writes a GGUF file with its tensors as another type, F32 or F16: the same numbers, as far as
/// that type has them. `to` may be `from`. A failure to write is a failure of the test.
void write_tensors_as(ggml_type type, const std::filesystem::path& from,
                      const std::filesystem::path& to);

}  // namespace pie::test
