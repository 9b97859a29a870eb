#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "wasm/engine.h"
#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {

/// Compiles components, and keeps the compiled form in files named by the program's hash and the
/// engine's fingerprint. A file is written atomically and carries a checksum: one that is damaged
/// is compiled anew and replaced. Thread-safe; takes seconds for large programs.
class CompileCache {
 public:
  /// An empty `folder` means: keep nothing.
  CompileCache(std::shared_ptr<const Engine> engine, std::filesystem::path folder);

  /// `hash` names the bytes: letters, digits, '-' and '_'. kInvalidArgument says what is wrong
  /// with the bytes.
  Result<RawComponent> load_or_compile(std::span<const uint8_t> wasm, const std::string& hash);

 private:
  std::filesystem::path file_of(const std::string& hash) const;
  RawComponent load(const std::filesystem::path& file) const;
  void store(const wasmtime_component_t& component, const std::filesystem::path& file) const;

  const std::shared_ptr<const Engine> engine_;
  const std::filesystem::path folder_;
};

}  // namespace pie::wasm
