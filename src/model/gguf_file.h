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

#include "base/content_hash.h"
#include "base/mapping.h"
#include "base/result.h"
#include "model/source_file.h"

struct gguf_context;

namespace pie::model {

/// Bytes of a file that are read when somebody needs them.
struct FileBytes {
  std::shared_ptr<const SourceFile> file;
  uint64_t offset = 0, size = 0;  ///< within the file

  /// All of them. kCorrupt when the file was changed since it was opened.
  Result<void> read(std::span<std::byte> out) const { return file->read(offset, out); }
  /// In memory of their own, aligned to pages. Throws std::bad_alloc.
  Result<Mapping> load() const;
};

/// A tensor as the file declares it; its bytes lie within the file.
struct GgufTensor {
  std::string name;
  uint32_t type = 0;            ///< ggml's type number
  std::vector<uint64_t> shape;  ///< outermost first; ggml's `ne` is the reverse
  FileBytes data;
};

/// A GGUF model, in one file or in shards, open for reading. Nothing in it is trusted: every access
/// checks type and bounds. Immutable after open().
class GgufFile {
 public:
  /// Opens and parses. Of a split model `path` may be any shard; keys are those of the first,
  /// tensors those of all (llama.cpp's split.no, split.count, split.tensors.count). kNotFound
  /// (names missing shards), kCorrupt (not GGUF, cut off, malformed, shards that do not belong
  /// together).
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
  /// A truth value; none when the key is missing.
  Result<std::optional<bool>> flag(const std::string& key) const;

  /// Elements of a list of texts; none when the key is missing, kCorrupt when it is another type.
  Result<std::vector<std::string_view>> texts(const std::string& key) const;
  /// Elements of a list of truth values; none when the key is missing or is no list, kCorrupt when
  /// it is a list of something else.
  Result<std::vector<bool>> flags(const std::string& key) const;
  /// Number of elements of a list of 32-bit integers or floats; none when the key is missing.
  Result<std::optional<size_t>> word_count(const std::string& key) const;

  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  /// Of all shards.
  uint64_t size_bytes() const;
  uint32_t shard_count() const { return static_cast<uint32_t>(files_.size()); }
  /// Of all its bytes. kCorrupt when a file was changed since it was opened.
  Result<ContentHash> content_hash() const;
  /// The parsed metadata, for libllama.
  gguf_context* context() const { return context_.get(); }

 private:
  struct ContextDeleter {
    void operator()(gguf_context* context) const;
  };
  GgufFile() = default;
  static Result<GgufFile> open_shard(const std::filesystem::path& path);
  Result<void> list_tensors();
  Result<void> add_shards(const std::vector<std::filesystem::path>& paths);
  Result<void> check_shard(uint32_t number, uint32_t count) const;

  std::vector<std::shared_ptr<const SourceFile>> files_;
  std::unique_ptr<gguf_context, ContextDeleter> context_;  ///< of the first file
  std::vector<GgufTensor> tensors_;
};

}  // namespace pie::model
