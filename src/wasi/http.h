#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "ports/http.h"
#include "wasm/object.h"

namespace pie::wasi {

/// The arguments of wasi:http/incoming-handler#handle: the request and the place of its answer.
std::vector<wasm::OwnedHandle> handler_arguments(std::shared_ptr<IncomingExchange> exchange);

/// Bounds the memory that the host keeps for one program. Thread-safe.
class MemoryPort {
 public:
  virtual ~MemoryPort() = default;
  virtual void add(uint64_t bytes) = 0;  ///< throws wasm::LimitError, and counts nothing then
  virtual void remove(uint64_t bytes) = 0;
};

}  // namespace pie::wasi
