#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace pie::model {

/// A small GGUF file in memory, of somebody whom nobody trusts: what it says takes no more memory
/// than the file is long, and every access is within its bytes. (GgufFile opens models, whose
/// metadata libllama reads as well.)
class GgufBytes {
 public:
  struct Tensor {
    uint32_t type = 0;            ///< ggml's type number
    std::vector<uint64_t> shape;  ///< outermost first
    std::span<const std::byte> data;
  };

  /// Refers to `bytes`, which outlive it. kCorrupt says what is wrong where.
  static Result<GgufBytes> parse(std::span<const std::byte> bytes);

  /// Null when there is no such text.
  const std::string* text(const std::string& key) const;
  /// Of any integer or floating type, if it is there.
  std::optional<double> number(const std::string& key) const;
  /// The bytes of a list of F32 numbers, not aligned; none when there is no such list.
  std::optional<std::span<const std::byte>> floats(const std::string& key) const;
  const std::map<std::string, Tensor, std::less<>>& tensors() const { return tensors_; }

 private:
  friend class GgufParser;
  std::map<std::string, std::string> texts_;
  std::map<std::string, double> numbers_;
  std::map<std::string, std::span<const std::byte>> floats_;
  std::map<std::string, Tensor, std::less<>> tensors_;
};

/// Writes a GGUF file (version 3) with texts, numbers (F32), lists of F32 and F32 matrices.
class GgufWriter {
 public:
  void text(std::string_view key, std::string_view value);
  void number(std::string_view key, float value);
  void floats(std::string_view key, std::span<const float> values);
  /// `values` stay as they are until write(). Rows outermost.
  void matrix(std::string name, uint64_t rows, uint64_t columns, std::vector<float> values);
  std::vector<uint8_t> write() const;

 private:
  struct Matrix {
    std::string name;
    uint64_t rows, columns;
    std::vector<float> values;
  };
  uint64_t keys_ = 0;
  std::vector<uint8_t> metadata_;
  std::vector<Matrix> matrices_;
};

}  // namespace pie::model
