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
/// The most that one write is permitted and one read gives, so that a program can't hand over its
/// whole memory, nor a call take long (a byte of a list costs tens of nanoseconds).
constexpr uint64_t kPieceBytesMax = 64 * 1024;

Value closed() { return Value::err(Value::variant("closed")); }

/// What `read` answers.
Value read_result(InputStream::Read read) {
  using State = BodyPipe::Read::State;
  if (read.state == State::kEnd) return closed();
  if (read.state == State::kFailed)
    return Value::err(
        Value::variant("last-operation-failed",
                       Value::handle("wasi:io/error/error",
                                     std::make_shared<StreamError>(std::move(read.failure)))));
  return Value::ok(Value::bytes({read.bytes.begin(), read.bytes.end()}));
}

/// What `skip` answers.
Value skip_result(InputStream::Read read) {
  if (read.state != BodyPipe::Read::State::kBytes) return read_result(std::move(read));
  return Value::ok(Value::u64(read.bytes.size()));
}

/// Waits until the stream has something to say, then answers `result` of it.
Wait read_when_possible(Call& call, Value (*result)(InputStream::Read)) {
  auto stream = call.object<InputStream>(0);
  const uint64_t bytes_max = std::min(call.u64(1), kPieceBytesMax);
  Wait wait;
  if (bytes_max > 0) wait.events.push_back(stream->readable());
  wait.finish = [stream = std::move(stream), bytes_max, result](const std::vector<uint32_t>&) {
    return result(stream->read(bytes_max));
  };
  return wait;
}

/// Waits until the stream takes output, then writes `bytes` whole.
Wait write_when_possible(Call& call, std::string bytes) {
  auto stream = call.object<OutputStream>(0);
  WasiContext& context = context_of(call);
  Wait wait;
  if (!stream->closed() && stream->room(context) == 0)
    wait.events.push_back(stream->writable(context));
  wait.finish = [stream = std::move(stream), &context,
                 bytes = std::move(bytes)](const std::vector<uint32_t>&) {
    if (stream->closed()) return closed();
    stream->put(context, bytes);
    return Value::ok();
  };
  return wait;
}

/// Moves what `from` has and `to` takes, at most `bytes_max`.
Value spliced(WasiContext& context, OutputStream& to, InputStream& from, uint64_t bytes_max) {
  if (to.closed()) return closed();
  const uint64_t room = std::min({to.room(context), bytes_max, kPieceBytesMax});
  if (room == 0) return Value::ok(Value::u64(0));
  InputStream::Read read = from.read(room);
  if (read.state != BodyPipe::Read::State::kBytes) return read_result(std::move(read));
  to.put(context, read.bytes);
  return Value::ok(Value::u64(read.bytes.size()));
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
  const std::string method = "[method]input-stream.";
  registry.resource(kStreams, "input-stream");
  const auto define = [&](const std::string& name, Value (*result)(InputStream::Read)) {
    registry.function(kStreams, method + name, [result](Call& call) {
      auto stream = call.object<InputStream>(0);
      call.ret(result(stream->read(std::min(call.u64(1), kPieceBytesMax))));
    });
    registry.async_function(kStreams, method + "blocking-" + name,
                            [result](Call& call) { return read_when_possible(call, result); });
  };
  define("read", read_result);
  define("skip", skip_result);
  registry.function(kStreams, method + "subscribe", [](Call& call) {
    call.ret(wasm::make_pollable(call.object<InputStream>(0)->readable()));
  });
}

void define_flush(Registry& registry, const std::string& method) {
  // What was written is on its way at once: there is nothing to flush.
  for (const char* name : {"flush", "blocking-flush"})
    registry.function(kStreams, method + name, [](Call& call) {
      call.ret(call.object<OutputStream>(0)->closed() ? closed() : Value::ok());
    });
}

void define_splice(Registry& registry, const std::string& method) {
  registry.function(kStreams, method + "splice", [](Call& call) {
    auto to = call.object<OutputStream>(0);
    call.ret(spliced(context_of(call), *to, *call.object<InputStream>(1), call.u64(2)));
  });
  registry.async_function(kStreams, method + "blocking-splice", [](Call& call) {
    auto to = call.object<OutputStream>(0);
    auto from = call.object<InputStream>(1);
    WasiContext& context = context_of(call);
    const uint64_t bytes_max = call.u64(2);
    Wait wait;
    if (!to->closed() && to->room(context) == 0)
      wait.events.push_back(to->writable(context));
    else if (!to->closed() && bytes_max > 0)
      wait.events.push_back(from->readable());
    wait.finish = [to, from, &context, bytes_max](const std::vector<uint32_t>&) {
      return spliced(context, *to, *from, bytes_max);
    };
    return wait;
  });
}

void define_output(Registry& registry) {
  const std::string method = "[method]output-stream.";
  registry.resource(kStreams, "output-stream");
  registry.function(kStreams, method + "check-write", [](Call& call) {
    auto stream = call.object<OutputStream>(0);
    if (stream->closed()) return call.ret(closed());
    call.ret(Value::ok(Value::u64(stream->check_write(context_of(call)))));
  });
  registry.function(kStreams, method + "write", [](Call& call) {
    auto stream = call.object<OutputStream>(0);
    stream->write(context_of(call), view_of(call.bytes(1)));
    call.ret(stream->closed() ? closed() : Value::ok());
  });
  registry.function(kStreams, method + "write-zeroes", [](Call& call) {
    const uint64_t count = call.u64(1);
    if (count > kPieceBytesMax)
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
  define_flush(registry, method);
  define_splice(registry, method);
  registry.function(kStreams, method + "subscribe", [](Call& call) {
    call.ret(wasm::make_pollable(call.object<OutputStream>(0)->writable(context_of(call))));
  });
}

}  // namespace

uint64_t OutputStream::check_write(WasiContext& context) {
  permit_bytes_ = std::min(room(context), kPieceBytesMax);
  return permit_bytes_;
}

void OutputStream::write(WasiContext& context, std::string_view bytes) {
  if (bytes.size() > permit_bytes_)
    throw GuestError(fmt::format("got {} bytes, expected at most the {} that check-write permitted",
                                 bytes.size(), permit_bytes_));
  permit_bytes_ -= bytes.size();
  put(context, bytes);
}

void StandardOutput::put(WasiContext& context, std::string_view bytes) {
  if (bytes.empty()) return;
  if (target_ == Target::kStdout)
    context.output().write_stdout(bytes);
  else
    context.output().write_stderr(bytes);
}

wasm::EventRef StandardOutput::writable(WasiContext& context) {
  context.writable_bytes();
  return context.writable();
}

void define_streams(Registry& registry) {
  registry.resource("wasi:io/error", "error");
  registry.function("wasi:io/error", "[method]error.to-debug-string", [](Call& call) {
    const auto error = call.object<StreamError>(0);
    call.ret(Value::string(error->failure().code + ": " + error->failure().detail));
  });
  define_input(registry);
  define_output(registry);
}

}  // namespace pie::wasi
