#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/body_pipe.h"
#include "wasi/wasi_context.h"
#include "wasm/object.h"

namespace pie::wasi {

/// Behind wasi:io/error/error: why a stream failed.
class StreamError final : public wasm::Object {
 public:
  static constexpr std::string_view kResource = "wasi:io/error/error";
  explicit StreamError(HttpFailure failure) : failure_(std::move(failure)) {}
  const HttpFailure& failure() const { return failure_; }

 private:
  const HttpFailure failure_;
};

/// Behind wasi:io/streams/input-stream.
class InputStream : public wasm::Object {
 public:
  static constexpr std::string_view kResource = "wasi:io/streams/input-stream";
  /// What is there now: bytes (none: nothing yet), the end, or a failure.
  struct Read {
    BodyPipe::Read::State state = BodyPipe::Read::State::kEnd;
    std::string bytes;
    HttpFailure failure;
  };
  virtual Read read(uint64_t bytes_max) = 0;
  /// Ready while read() gives something.
  virtual wasm::ReadinessRef readable() = 0;
};

/// stdin, which is empty.
class EmptyInput final : public InputStream {
 public:
  Read read(uint64_t) override { return {}; }
  wasm::ReadinessRef readable() override {
    return std::make_shared<wasm::Readiness>(wasm::Readiness::Start::kReady);
  }
};

/// Behind wasi:io/streams/output-stream.
class OutputStream : public wasm::Object {
 public:
  static constexpr std::string_view kResource = "wasi:io/streams/output-stream";
  /// How much is taken now; 0: wait.
  virtual uint64_t room(WasiContext& context) = 0;
  /// Takes the bytes, whatever the room.
  virtual void put(WasiContext& context, std::string_view bytes) = 0;
  /// Nobody takes anything any more.
  virtual bool closed() const = 0;
  /// Ready while room() > 0 or closed().
  virtual wasm::ReadinessRef writable(WasiContext& context) = 0;

  /// The room, remembered as the permit of the next write.
  uint64_t check_write(WasiContext& context);
  /// Writes within the permit. Throws GuestError beyond it (WASI: "traps").
  void write(WasiContext& context, std::string_view bytes);

 private:
  uint64_t permit_bytes_ = 0;
};

/// stdout or stderr.
class StandardOutput final : public OutputStream {
 public:
  enum class Target { kStdout, kStderr };
  explicit StandardOutput(Target target) : target_(target) {}
  uint64_t room(WasiContext& context) override { return context.writable_bytes(); }
  void put(WasiContext& context, std::string_view bytes) override;
  bool closed() const override { return false; }
  wasm::ReadinessRef writable(WasiContext& context) override;

 private:
  const Target target_;
};

}  // namespace pie::wasi
