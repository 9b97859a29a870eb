#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wasm/wasmtime_engine.h"
#include "wasm/wasmtime_ptr.h"

namespace pie::wasm {

/// Compiles components, and keeps the compiled form in files named by the program's hash and the
/// engine's fingerprint. A file is written atomically and carries that fingerprint and a checksum:
/// one that is damaged, or of another version of the engine or another CPU whatever its name, is
/// not used; the program is compiled anew. The files that were used longest ago make room for new
/// ones. Thread-safe; takes seconds for large programs, and nothing interrupts it. A second folder
/// may have files of the same kind that came with the installation; they are only read.
class CompileCache {
 public:
  /// An empty `folder` means: keep nothing. The newest file stays even when it alone is larger than
  /// `bytes_max`.
  CompileCache(std::shared_ptr<const WasmtimeEngine> engine, std::filesystem::path folder,
               uint64_t bytes_max, std::filesystem::path installed_folder = {});

  struct Compiled {
    RawComponent component;
    bool is_new;  ///< not from a file
  };
  /// `hash` names the bytes: letters, digits, '-' and '_'. kInvalidArgument says what is wrong
  /// with the bytes.
  Result<Compiled> load_or_compile(std::span<const uint8_t> wasm, const std::string& hash);
  /// Stores the compiled form: of a component that is good for something. Returns it as it is
  /// mapped from its file, so that the kernel may drop its pages; null where it can't be.
  RawComponent keep(const wasmtime_component_t& component, const std::string& hash) const;
  /// Where the compiled form of these bytes is kept; empty without a folder.
  std::filesystem::path file_of(const std::string& hash) const;

 private:
  std::string file_name_of(const std::string& hash) const;
  RawComponent load(const std::filesystem::path& file) const;
  bool checks_out(std::string_view file) const;
  /// Removes what is too much, and what a crash left of files that were being written.
  void make_room(const std::filesystem::path& newest) const;

  const std::shared_ptr<const WasmtimeEngine> engine_;
  const std::filesystem::path folder_;
  const std::filesystem::path installed_folder_;
  const uint64_t bytes_max_;
  mutable std::mutex room_;  ///< one make_room() at a time
};

}  // namespace pie::wasm
