#pragma once
#include <memory>
#include <string>

#include "base/result.h"
#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {

/// wasmtime's engine with our settings. Thread-safe. Shared by everything compiled with it.
class WasmtimeEngine {
 public:
  static Result<std::shared_ptr<WasmtimeEngine>> create();

  wasm_engine_t* get() const { return engine_.get(); }
  /// Makes every running guest call its deadline callback soon.
  void raise_epoch() const { wasmtime_engine_increment_epoch(engine_.get()); }
  /// What a compiled component depends on besides its source: wasmtime's version, our settings,
  /// this CPU's features. 16 hexadecimal digits.
  const std::string& fingerprint() const { return fingerprint_; }

 private:
  explicit WasmtimeEngine(RawEngine engine);
  const RawEngine engine_;
  const std::string fingerprint_;
};

}  // namespace pie::wasm
