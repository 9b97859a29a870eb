#include "wasi/streams.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "wasi/interfaces.h"

namespace pie::wasi {
namespace {

using wasm::Call;
using wasm::GuestError;
using wasm::Registry;
using wasm::Value;
using wasm::Wait;

const std::string kStreams = "wasi:io/streams";
/// The most that one write is permitted, so that a program can't hand over its whole memory.
constexpr uint64_t kPermitBytesMax = 64 * 1024;

/// Behind wasi:io/error/error. Our streams never fail, so programs never hold one.
class StreamError final : public wasm::Object {};

Value closed() { return Value::err(Value::variant("closed")); }

Wait ready_with(Value value) {
  return {{}, [value = std::move(value)](const std::vector<uint32_t>&) { return value; }};
}

/// Waits until the log takes output, then writes `bytes` whole.
Wait write_when_possible(Call& call, std::string bytes) {
  auto stream = call.object<OutputStream>(0);
  WasiContext& context = context_of(call);
  if (context.writable_bytes() > 0) {
    stream->write_now(context, bytes);
    return ready_with(Value::ok());
  }
  return {{context.writable()},
          [stream, &context, bytes = std::move(bytes)](const std::vector<uint32_t>&) {
            stream->write_now(context, bytes);
            return Value::ok();
          }};
}

std::string_view view_of(const std::vector<uint8_t>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void check_blocking_size(uint64_t bytes) {
  if (bytes > kBlockingWriteBytesMax)
    throw GuestError(
        fmt::format("got {} bytes, expected at most {}", bytes, kBlockingWriteBytesMax));
}

void define_input(Registry& registry) {
  registry.resource(kStreams, "input-stream");
  for (const char* name : {"read", "skip", "blocking-read", "blocking-skip"})
    registry.function(kStreams, std::string("[method]input-stream.") + name, [](Call& call) {
      call.object<InputStream>(0);
      call.ret(closed());
    });
  registry.function(kStreams, "[method]input-stream.subscribe", [](Call& call) {
    call.ret(wasm::make_pollable(std::make_shared<wasm::Event>(true)));
  });
}

void define_output(Registry& registry) {
  const std::string method = "[method]output-stream.";
  registry.resource(kStreams, "output-stream");
  registry.function(kStreams, method + "check-write", [](Call& call) {
    const uint64_t permit = call.object<OutputStream>(0)->check_write(context_of(call));
    call.ret(Value::ok(Value::u64(permit)));
  });
  registry.function(kStreams, method + "write", [](Call& call) {
    call.object<OutputStream>(0)->write(context_of(call), view_of(call.bytes(1)));
    call.ret(Value::ok());
  });
  registry.function(kStreams, method + "write-zeroes", [](Call& call) {
    const uint64_t count = call.u64(1);
    if (count > kPermitBytesMax)
      throw GuestError(
          fmt::format("got {} bytes, expected at most the permit of check-write", count));
    call.object<OutputStream>(0)->write(context_of(call), std::string(count, '\0'));
    call.ret(Value::ok());
  });
  registry.async_function(kStreams, method + "blocking-write-and-flush", [](Call& call) {
    const std::vector<uint8_t> bytes = call.bytes(1);
    check_blocking_size(bytes.size());
    return write_when_possible(call, std::string(view_of(bytes)));
  });
  registry.async_function(kStreams, method + "blocking-write-zeroes-and-flush", [](Call& call) {
    check_blocking_size(call.u64(1));
    return write_when_possible(call, std::string(call.u64(1), '\0'));
  });
  // The log has what was written at once: there is nothing to flush.
  for (const char* name : {"flush", "blocking-flush"})
    registry.function(kStreams, method + name, [](Call& call) { call.ret(Value::ok()); });
  for (const char* name : {"splice", "blocking-splice"})
    registry.function(kStreams, method + name, [](Call& call) {
      call.object<OutputStream>(0);
      call.object<InputStream>(1);
      call.ret(closed());
    });
  registry.function(kStreams, method + "subscribe", [](Call& call) {
    WasiContext& context = context_of(call);
    context.writable_bytes();
    call.ret(wasm::make_pollable(context.writable()));
  });
}

}  // namespace

uint64_t OutputStream::check_write(WasiContext& context) {
  permit_bytes_ = std::min(context.writable_bytes(), kPermitBytesMax);
  return permit_bytes_;
}

void OutputStream::write(WasiContext& context, std::string_view bytes) {
  if (bytes.size() > permit_bytes_)
    throw GuestError(fmt::format("got {} bytes, expected at most the {} that check-write permitted",
                                 bytes.size(), permit_bytes_));
  permit_bytes_ -= bytes.size();
  write_now(context, bytes);
}

void OutputStream::write_now(WasiContext& context, std::string_view bytes) {
  if (bytes.empty()) return;
  if (target_ == Target::kStdout)
    context.output().write_stdout(bytes);
  else
    context.output().write_stderr(bytes);
}

void define_streams(Registry& registry) {
  registry.resource("wasi:io/error", "error");
  registry.function("wasi:io/error", "[method]error.to-debug-string", [](Call& call) {
    call.object<StreamError>(0);
    call.ret(Value::string("stream error"));
  });
  define_input(registry);
  define_output(registry);
}

}  // namespace pie::wasi
