#pragma once
#include <memory>
#include <string_view>
#include <utility>

#include "grammar/matcher.h"
#include "host/host_memory.h"
#include "wasm/object.h"

namespace pie::host {

/// `matcher` of pie:grammar; charged for what it holds, which grows as it goes.
struct MatcherObject final : wasm::Object {
  static constexpr std::string_view kResource = "pie:grammar/grammar/matcher";
  /// Throws wasm::LimitError.
  MatcherObject(grammar::Matcher matcher_, const std::shared_ptr<HostMemory>& memory_)
      : matcher(std::move(matcher_)), memory(memory_), charge(memory_) {
    settle();
  }
  /// Charges what it has come to hold since. Throws wasm::LimitError.
  void settle() {
    const uint64_t bytes = matcher.bytes();
    if (bytes > charge.bytes()) charge.add(bytes - charge.bytes());
  }

  grammar::Matcher matcher;
  const std::shared_ptr<HostMemory> memory;
  Charge charge;
};

}  // namespace pie::host
