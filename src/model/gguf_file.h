#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct gguf_context;

namespace pie::model {

/// A tensor as the file declares it; its bytes lie within the file.
struct GgufTensor {
  std::string name;
  uint32_t type = 0;            ///< ggml's type number
  std::vector<uint64_t> shape;  ///< outermost first; ggml's `ne` is the reverse
  std::span<const std::byte> data;
};

/// A GGUF file, mapped read-only. Nothing in it is trusted: every access checks type and bounds.
/// Immutable after open().
class GgufFile {
 public:
  /// Maps and parses. kNotFound, kCorrupt (not GGUF, cut off, malformed) or kUnsupported (one part
  /// of a split model).
  static Result<GgufFile> open(const std::filesystem::path& path);
  GgufFile(GgufFile&&) noexcept;
  GgufFile& operator=(GgufFile&&) noexcept;
  ~GgufFile();

  bool has(const std::string& key) const;
  /// An integer of any width; kCorrupt when it is missing, of another type or outside
  /// [least, most].
  Result<uint32_t> integer(const std::string& key, uint32_t least, uint32_t most) const;
  /// A finite number; kCorrupt when it is missing or of another type.
  Result<float> number(const std::string& key) const;
  /// kCorrupt when it is missing or of another type.
  Result<std::string> text(const std::string& key) const;
  /// The same, or `otherwise` when the key is missing.
  Result<uint32_t> integer_or(const std::string& key, uint32_t least, uint32_t most,
                              uint32_t otherwise) const;
  Result<float> number_or(const std::string& key, float otherwise) const;
  Result<std::string> text_or(const std::string& key, std::string otherwise) const;

  /// Elements of a list of texts; none when the key is missing, kCorrupt when it is another type.
  Result<std::vector<std::string_view>> texts(const std::string& key) const;
  /// Number of elements of a list of 32-bit integers or floats; none when the key is missing.
  Result<std::optional<size_t>> word_count(const std::string& key) const;

  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  uint64_t size_bytes() const;
  /// The parsed metadata, for libllama.
  gguf_context* context() const { return context_.get(); }

 private:
  struct Mapping;
  struct ContextDeleter {
    void operator()(gguf_context* context) const;
  };
  GgufFile();
  Result<void> list_tensors();

  std::unique_ptr<Mapping> mapping_;
  std::unique_ptr<gguf_context, ContextDeleter> context_;
  std::vector<GgufTensor> tensors_;
};

}  // namespace pie::model
