#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "host/host_memory.h"
#include "wasm/object.h"

namespace pie::host {

/// `token-set` of pie:logits: one bit for each token.
struct TokenSetObject final : wasm::Object {
  static constexpr std::string_view kResource = "pie:logits/logits/token-set";
  /// Bits from the lowest of the first byte on. Throws wasm::LimitError.
  TokenSetObject(std::span<const uint8_t> bits, const std::shared_ptr<HostMemory>& memory)
      : charge(memory) {
    charge.add(sizeof(*this) + bits.size());
    words.resize((bits.size() + 3) / 4);
    for (size_t i = 0; i < bits.size(); ++i) words[i / 4] |= uint32_t{bits[i]} << (i % 4 * 8);
  }
  std::vector<uint32_t> words;  ///< as sample::LogitRules::allowed
  Charge charge;
};

}  // namespace pie::host
