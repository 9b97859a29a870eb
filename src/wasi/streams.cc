#include "wasi/streams.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "wasi/interfaces.h"
#include "wasm/host_functions.h"
#include "wasm/wit_described.h"
#include "wasm/wit_result.h"

namespace pie::wasi {
namespace {

using wasm::Err;
using wasm::GuestError;
using wasm::Ok;
using wasm::Wait;
using wasm::WitResult;

const std::string kStreams = "wasi:io/streams";
/// The most that one write is permitted and one read gives, so that a program can't hand over its
/// whole memory, nor a call take long (a byte of a list costs tens of nanoseconds).
constexpr uint64_t kPieceBytesMax = 64 * 1024;

struct StreamClosed {};
using StreamFailure = std::variant<std::shared_ptr<StreamError>, StreamClosed>;
constexpr auto wit_type(const StreamFailure*) {
  return wasm::variant_of("last-operation-failed", "closed");
}
using Bytes = WitResult<wasm::ByteString, StreamFailure>;
using Count = WitResult<uint64_t, StreamFailure>;
using Written = WitResult<void, StreamFailure>;

Err<StreamFailure> closed() { return {StreamClosed()}; }

/// Why `read` gave no bytes.
Err<StreamFailure> failure_of(InputStream::Read read) {
  if (read.state == BodyPipe::Read::State::kEnd) return closed();
  return {std::make_shared<StreamError>(std::move(read.failure))};
}

/// What `read` answers.
Bytes read_result(InputStream::Read read) {
  if (read.state != BodyPipe::Read::State::kBytes) return failure_of(std::move(read));
  return Ok(wasm::ByteString{std::move(read.bytes)});
}

/// What `skip` and `splice` answer.
Count count_result(InputStream::Read read) {
  if (read.state != BodyPipe::Read::State::kBytes) return failure_of(std::move(read));
  return Ok(uint64_t{read.bytes.size()});
}

template <class Answer, Answer (*kResult)(InputStream::Read)>
Answer read_now(InputStream& stream, uint64_t bytes_max) {
  return kResult(stream.read(std::min(bytes_max, kPieceBytesMax)));
}

/// Waits until the stream has something to say, then answers of it.
template <class Answer, Answer (*kResult)(InputStream::Read)>
Wait<Answer> read_when_possible(std::shared_ptr<InputStream> stream, uint64_t bytes_max) {
  std::vector<wasm::ReadinessRef> events;
  if (bytes_max > 0) events.push_back(stream->readable());
  return {std::move(events), [stream = std::move(stream), bytes_max] {
            return read_now<Answer, kResult>(*stream, bytes_max);
          }};
}

/// Waits until the stream takes output, then writes `bytes` whole.
Wait<Written> write_when_possible(WasiContext& context, std::shared_ptr<OutputStream> stream,
                                  std::string bytes) {
  std::vector<wasm::ReadinessRef> events;
  if (!stream->closed() && stream->room(context) == 0) events.push_back(stream->writable(context));
  return {std::move(events),
          [stream = std::move(stream), &context, bytes = std::move(bytes)]() -> Written {
            if (stream->closed()) return closed();
            stream->put(context, bytes);
            return Ok();
          }};
}

void check_blocking_size(uint64_t bytes) {
  if (bytes > kBlockingWriteBytesMax)
    throw GuestError(
        fmt::format("got {} bytes, expected at most {}", bytes, kBlockingWriteBytesMax));
}

Wait<Written> blocking_write(WasiContext& context, std::shared_ptr<OutputStream> stream,
                             wasm::ByteString contents) {
  check_blocking_size(contents.bytes.size());
  return write_when_possible(context, std::move(stream), std::move(contents.bytes));
}

Wait<Written> blocking_write_zeroes(WasiContext& context, std::shared_ptr<OutputStream> stream,
                                    uint64_t count) {
  check_blocking_size(count);
  return write_when_possible(context, std::move(stream), std::string(count, '\0'));
}

Count check_write(WasiContext& context, OutputStream& stream) {
  if (stream.closed()) return closed();
  return Ok(stream.check_write(context));
}

Written write(WasiContext& context, OutputStream& stream, const wasm::ByteString& contents) {
  stream.write(context, contents.bytes);
  if (stream.closed()) return closed();
  return Ok();
}

Written write_zeroes(WasiContext& context, OutputStream& stream, uint64_t count) {
  if (count > kPieceBytesMax)
    throw GuestError(
        fmt::format("got {} bytes, expected at most the permit of check-write", count));
  stream.write(context, std::string(count, '\0'));
  return Ok();
}

/// What was written is on its way at once: there is nothing to flush.
Written flush(OutputStream& stream) {
  if (stream.closed()) return closed();
  return Ok();
}

/// Moves what `from` has and `to` takes, at most `bytes_max`.
Count splice(WasiContext& context, OutputStream& to, InputStream& from, uint64_t bytes_max) {
  if (to.closed()) return closed();
  const uint64_t room = std::min({to.room(context), bytes_max, kPieceBytesMax});
  if (room == 0) return Ok(uint64_t{0});
  InputStream::Read read = from.read(room);
  if (read.state == BodyPipe::Read::State::kBytes) to.put(context, read.bytes);
  return count_result(std::move(read));
}

Wait<Count> blocking_splice(WasiContext& context, std::shared_ptr<OutputStream> to,
                            std::shared_ptr<InputStream> from, uint64_t bytes_max) {
  std::vector<wasm::ReadinessRef> events;
  if (!to->closed() && to->room(context) == 0)
    events.push_back(to->writable(context));
  else if (!to->closed() && bytes_max > 0)
    events.push_back(from->readable());
  return {std::move(events), [to = std::move(to), from = std::move(from), &context, bytes_max] {
            return splice(context, *to, *from, bytes_max);
          }};
}

void define_input(wasm::HostFunctions& functions) {
  const std::string method = "[method]input-stream.";
  functions.resource(InputStream::kResource);
  functions.add(kStreams, method + "read", read_now<Bytes, read_result>);
  functions.add(kStreams, method + "blocking-read", read_when_possible<Bytes, read_result>);
  functions.add(kStreams, method + "skip", read_now<Count, count_result>);
  functions.add(kStreams, method + "blocking-skip", read_when_possible<Count, count_result>);
  functions.add(kStreams, method + "subscribe", [](InputStream& self) { return self.readable(); });
}

void define_output(wasm::HostFunctions& functions) {
  const std::string method = "[method]output-stream.";
  functions.resource(OutputStream::kResource);
  functions.add(kStreams, method + "check-write", check_write);
  functions.add(kStreams, method + "write", write);
  functions.add(kStreams, method + "write-zeroes", write_zeroes);
  functions.add(kStreams, method + "blocking-write-and-flush", blocking_write);
  functions.add(kStreams, method + "blocking-write-zeroes-and-flush", blocking_write_zeroes);
  functions.add(kStreams, method + "flush", flush);
  functions.add(kStreams, method + "blocking-flush", flush);
  functions.add(kStreams, method + "splice", splice);
  functions.add(kStreams, method + "blocking-splice", blocking_splice);
  functions.add(kStreams, method + "subscribe",
                [](WasiContext& context, OutputStream& self) { return self.writable(context); });
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

wasm::ReadinessRef StandardOutput::writable(WasiContext& context) {
  context.writable_bytes();
  return context.writable();
}

void define_streams(wasm::HostFunctions& functions) {
  functions.resource(StreamError::kResource);
  functions.add("wasi:io/error", "[method]error.to-debug-string", [](StreamError& self) {
    return self.failure().code + ": " + self.failure().detail;
  });
  define_input(functions);
  define_output(functions);
}

}  // namespace pie::wasi
