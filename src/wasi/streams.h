#pragma once
#include <memory>
#include <string_view>

#include "wasi/wasi_context.h"
#include "wasm/call.h"

namespace pie::wasi {

/// Behind wasi:io/streams/input-stream. The only one we give is stdin, which is empty.
class InputStream final : public wasm::Object {};

/// Behind wasi:io/streams/output-stream: stdout or stderr.
class OutputStream final : public wasm::Object {
 public:
  enum class Target { kStdout, kStderr };
  explicit OutputStream(Target target) : target_(target) {}

  /// Asks the context how much may be written, and remembers it as the permit of the next write.
  uint64_t check_write(WasiContext& context);
  /// Writes within the permit. Throws GuestError beyond it (WASI: "traps").
  void write(WasiContext& context, std::string_view bytes);
  /// Writes whatever the permit.
  void write_now(WasiContext& context, std::string_view bytes);

 private:
  const Target target_;
  uint64_t permit_bytes_ = 0;
};

}  // namespace pie::wasi
