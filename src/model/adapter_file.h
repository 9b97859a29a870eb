#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapping.h"
#include "base/result.h"
#include "model/adapter.h"
#include "model/gguf_bytes.h"

namespace pie::model {

/// An adapter in llama.cpp's GGUF format: general.type = "adapter", adapter.type = "lora",
/// adapter.lora.alpha, and for each adapted matrix NAME the tensors NAME.lora_a [rank, inputs] and
/// NAME.lora_b [outputs, rank], F32, F16, BF16 or quantised. Ranks may differ. One that evolves has
/// the keys pie.evolution.*, too, which llama.cpp passes over.
class AdapterFile {
 public:
  /// Checks all but the values. Refers to both, which outlive it. kInvalidArgument names what is
  /// wrong: "[what] got X, expected Y".
  static Result<AdapterFile> open(std::span<const std::byte> bytes,
                                  const Architecture& architecture);
  /// Of A, B and the path in memory.
  uint64_t size_bytes() const;
  /// Reads the values. Its pieces give kInvalidArgument for values that are not finite. The file
  /// and its bytes outlive it. Throws std::bad_alloc.
  std::unique_ptr<AdapterWork> start_load() const;

 private:
  Result<void> find_matrices(const Architecture& architecture);
  Result<void> read_evolution();

  class Load;
  struct Pair {
    std::string name;
    const GgufBytes::Tensor* a = nullptr;
    const GgufBytes::Tensor* b = nullptr;
    size_t matrix = 0;  ///< of the layout
  };
  GgufBytes file_;
  float alpha_ = 0;
  AdapterLayout layout_;
  std::vector<Pair> pairs_;
  std::optional<Evolution> evolution_;
};

/// The adapter as such a file, in F32: reading it gives the same values. `name`: general.name.
std::vector<uint8_t> write_adapter(const Adapter& adapter, const Architecture& architecture,
                                   std::string_view name);

}  // namespace pie::model
