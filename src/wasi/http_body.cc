#include <fmt/format.h>

#include <utility>
#include <vector>

#include "wasi/http_objects.h"
#include "wasi/interfaces.h"
#include "wasm/host_functions.h"
#include "wasm/wit_result.h"

namespace pie::wasi {

using wasm::Err;
using wasm::Ok;
using wasm::ReadinessRef;
using wasm::WitResult;

/// What one body may hold of the host's memory: the pipe, and one write above it.
constexpr uint64_t kBodyBytes = 2 * BodyPipe::kDefaultBytesMax;

struct OutgoingBody::State {
  const BodyPipeRef pipe;
  const std::optional<uint64_t> declared;
  const char* const size_code;
  uint64_t written = 0;
  bool done = false;  ///< finished or failed: the stream takes nothing more

  bool closed() const { return done || pipe->cancelled(); }

  HttpFailure wrong_size() const {
    return {size_code, fmt::format("got a body of {} bytes or more, expected the {} that "
                                   "content-length declares",
                                   written, *declared)};
  }
};

namespace {

/// The stream of an incoming body.
class PipeInput final : public InputStream {
 public:
  explicit PipeInput(BodyPipeRef pipe)
      : pipe_(std::move(pipe)),
        readable_(std::make_shared<ConditionEvent>(
            [pipe = pipe_] { return pipe->readable(); },
            [pipe = pipe_](std::function<void()> wake) { pipe->on_readable(std::move(wake)); })) {}

  Read read(uint64_t bytes_max) override {
    BodyPipe::Read got = pipe_->read(bytes_max);
    if (got.state == BodyPipe::Read::State::kFailed)
      return {got.state, {}, pipe_->failure().value_or(HttpFailure{})};
    return {got.state, std::move(got.bytes), {}};
  }
  ReadinessRef readable() override { return readable_; }

 private:
  const BodyPipeRef pipe_;
  const ReadinessRef readable_;
};

/// The stream of an outgoing body.
class PipeOutput final : public OutputStream {
 public:
  explicit PipeOutput(std::shared_ptr<OutgoingBody::State> state)
      : state_(std::move(state)),
        writable_(std::make_shared<ConditionEvent>(
            [one = state_] { return one->closed() || one->pipe->room() > 0; },
            [one = state_](std::function<void()> wake) {
              one->pipe->on_writable(std::move(wake));
            })) {}

  uint64_t room(WasiContext&) override { return state_->pipe->room(); }
  void put(WasiContext&, std::string_view bytes) override {
    if (closed()) return;
    state_->written += bytes.size();
    if (state_->declared && state_->written > *state_->declared) {
      state_->done = true;
      return state_->pipe->fail(state_->wrong_size());
    }
    state_->pipe->write(std::string(bytes));
  }
  bool closed() const override { return state_->closed(); }
  ReadinessRef writable(WasiContext&) override { return writable_; }

 private:
  const std::shared_ptr<OutgoingBody::State> state_;
  const ReadinessRef writable_;
};

/// Behind `future-trailers`: reads what is left of a body and forgets it; ready at its end.
class FutureTrailers final : public wasm::Object {
 public:
  static constexpr std::string_view kResource = "wasi:http/types/future-trailers";
  explicit FutureTrailers(BodyPipeRef pipe) : drain_(std::make_shared<Drain>(std::move(pipe))) {
    Drain::go_on(drain_);
  }
  ~FutureTrailers() override { drain_->pipe->cancel(); }
  const ReadinessRef& event() const { return drain_->ended; }

  using Trailers = WitResult<std::optional<std::shared_ptr<Fields>>, HttpErrorCode>;
  /// The trailers, once.
  std::optional<WitResult<Trailers>> get(WasiContext& context) {
    if (!drain_->ended->ready()) return std::nullopt;
    if (std::exchange(taken_, true)) return Err();
    if (drain_->failure) return Ok(Trailers(Err(HttpErrorCode{*drain_->failure})));
    HttpFields trailers = drain_->pipe->trailers();
    if (trailers.empty()) return Ok(Trailers(Ok(std::nullopt)));
    return Ok(Trailers(Ok(std::make_shared<Fields>(context, std::move(trailers)))));
  }

 private:
  struct Drain {
    explicit Drain(BodyPipeRef one) : pipe(std::move(one)) {}
    const BodyPipeRef pipe;
    const ReadinessRef ended = std::make_shared<wasm::Readiness>();
    std::optional<HttpFailure> failure;  ///< written before the event fires

    static void go_on(const std::shared_ptr<Drain>& self) {
      for (;;) {
        const BodyPipe::Read got = self->pipe->read(BodyPipe::kDefaultBytesMax);
        if (got.state == BodyPipe::Read::State::kBytes && !got.bytes.empty()) continue;
        if (got.state == BodyPipe::Read::State::kBytes)
          return self->pipe->on_readable([self] { go_on(self); });
        if (got.state == BodyPipe::Read::State::kFailed) self->failure = self->pipe->failure();
        return self->ended->fire();
      }
    }
  };
  const std::shared_ptr<Drain> drain_;
  bool taken_ = false;
};

WitResult<std::shared_ptr<InputStream>> incoming_stream(IncomingBody& self) {
  auto stream = self.stream();
  if (!stream) return Err();
  return Ok(std::move(stream));
}

std::shared_ptr<FutureTrailers> finish_incoming(IncomingBody& self) {
  return std::make_shared<FutureTrailers>(self.release());
}

void define_incoming_body(wasm::HostFunctions& functions) {
  functions.resource(IncomingBody::kResource);
  functions.resource(FutureTrailers::kResource);
  functions.add(kHttpTypes, "[method]incoming-body.stream", incoming_stream);
  functions.add(kHttpTypes, "[static]incoming-body.finish", finish_incoming);
  functions.add(kHttpTypes, "[method]future-trailers.subscribe",
                [](FutureTrailers& self) { return self.event(); });
  functions.add(kHttpTypes, "[method]future-trailers.get",
                [](WasiContext& context, FutureTrailers& self) { return self.get(context); });
}

WitResult<std::shared_ptr<OutputStream>> outgoing_stream(OutgoingBody& self) {
  auto stream = self.stream();
  if (!stream) return Err();
  return Ok(std::move(stream));
}

WitResult<void, HttpErrorCode> finish_outgoing(OutgoingBody& self,
                                               std::optional<std::shared_ptr<Fields>> trailers) {
  const auto failure = self.finish(trailers ? (*trailers)->get() : HttpFields{});
  if (failure) return Err(HttpErrorCode{*failure});
  return Ok();
}

void define_outgoing_body(wasm::HostFunctions& functions) {
  functions.resource(OutgoingBody::kResource);
  functions.add(kHttpTypes, "[method]outgoing-body.write", outgoing_stream);
  functions.add(kHttpTypes, "[static]outgoing-body.finish", finish_outgoing);
}

}  // namespace

uint64_t ConditionEvent::add_waiter(std::function<void()> wake) {
  const uint64_t token = Readiness::add_waiter(std::move(wake));
  if (!armed_.exchange(true))
    subscribe_([weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      self->armed_.store(false);  // who waits from now on is armed anew
      self->fire();
    });
  return token;
}

IncomingBody::IncomingBody(WasiContext& context, BodyPipeRef pipe)
    : pipe_(std::move(pipe)), share_(context.memory()) {
  share_.resize(kBodyBytes);
}
IncomingBody::~IncomingBody() {
  if (pipe_) pipe_->cancel();
}
std::shared_ptr<InputStream> IncomingBody::stream() {
  if (std::exchange(stream_taken_, true)) return nullptr;
  return std::make_shared<PipeInput>(pipe_);
}

OutgoingBody::OutgoingBody(WasiContext& context, BodyPipeRef pipe, std::optional<uint64_t> declared,
                           const char* size_code)
    : state_(std::make_shared<State>(State{std::move(pipe), declared, size_code})),
      share_(context.memory()) {
  share_.resize(kBodyBytes);
}
OutgoingBody::~OutgoingBody() {
  if (!std::exchange(state_->done, true))
    state_->pipe->fail({"connection-terminated", "the program left its body unfinished"});
}
std::shared_ptr<OutputStream> OutgoingBody::stream() {
  if (std::exchange(stream_taken_, true)) return nullptr;
  return std::make_shared<PipeOutput>(state_);
}
std::optional<HttpFailure> OutgoingBody::finish(HttpFields trailers) {
  const bool too_long = std::exchange(state_->done, true);
  const bool right = !state_->declared || *state_->declared == state_->written;
  if (too_long || !right) {
    state_->pipe->fail(state_->wrong_size());
    return state_->wrong_size();
  }
  state_->pipe->end(std::move(trailers));
  return std::nullopt;
}

std::shared_ptr<OutgoingBody> OutgoingMessage::take_body(WasiContext& context,
                                                         const char* size_code) {
  if (body) return nullptr;
  body = std::make_shared<BodyPipe>();
  return std::make_shared<OutgoingBody>(context, body, content_length(fields->get()), size_code);
}

void define_http_bodies(wasm::HostFunctions& functions) {
  define_incoming_body(functions);
  define_outgoing_body(functions);
}

}  // namespace pie::wasi
