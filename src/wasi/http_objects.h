#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "wasi/http.h"
#include "wasi/http_values.h"
#include "wasi/streams.h"
#include "wasi/wasi_context.h"
#include "wasm/object.h"
#include "wasm/readiness.h"

namespace pie::wasi {

/// What one object holds of the instance's host memory; given back with it.
class MemoryShare {
 public:
  explicit MemoryShare(std::shared_ptr<MemoryPort> port) : port_(std::move(port)) {}
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;
  ~MemoryShare() {
    if (port_) port_->remove(bytes_);
  }
  /// Throws wasm::LimitError, and changes nothing, when it would be too much.
  void resize(uint64_t bytes) {
    if (port_ && bytes > bytes_) port_->add(bytes - bytes_);
    if (port_ && bytes < bytes_) port_->remove(bytes_ - bytes);
    bytes_ = bytes;
  }

 private:
  const std::shared_ptr<MemoryPort> port_;
  uint64_t bytes_ = 0;
};

/// Behind `fields`, `headers` and `trailers`.
class Fields final : public wasm::Object {
 public:
  static constexpr std::string_view kResource = "wasi:http/types/fields";
  /// Throws wasm::LimitError when they are too many bytes.
  Fields(WasiContext& context, HttpFields fields);
  /// The fields of a message, which its program can't change any more; counted by the message.
  explicit Fields(std::shared_ptr<const HttpFields> fields)
      : fields_(std::move(fields)), immutable_(true), share_(nullptr) {}

  const HttpFields& get() const { return *fields_; }
  const std::shared_ptr<const HttpFields>& shared() const { return fields_; }
  bool immutable() const { return immutable_; }
  void replace(HttpFields fields);

 private:
  std::shared_ptr<const HttpFields> fields_;
  const bool immutable_ = false;
  MemoryShare share_;
};

/// An event that is ready while a condition holds: `subscribe(wake)` has `wake` called once, from
/// any thread, when it does.
class ConditionEvent final : public wasm::Readiness,
                             public std::enable_shared_from_this<ConditionEvent> {
 public:
  using Subscribe = std::function<void(std::function<void()> wake)>;
  ConditionEvent(std::function<bool()> holds, Subscribe subscribe)
      : holds_(std::move(holds)), subscribe_(std::move(subscribe)) {}

  bool ready() const override { return holds_(); }
  uint64_t add_waiter(std::function<void()> wake) override;

 private:
  const std::function<bool()> holds_;
  const Subscribe subscribe_;
  std::atomic<bool> armed_{false};
};

/// Behind `incoming-body`: the reader's end of a body.
class IncomingBody final : public wasm::Object {
 public:
  static constexpr std::string_view kResource = "wasi:http/types/incoming-body";
  IncomingBody(WasiContext& context, BodyPipeRef pipe);
  ~IncomingBody() override;
  /// Its stream, once; null then.
  std::shared_ptr<InputStream> stream();
  /// Gives the pipe away: the body is left alone when this goes.
  BodyPipeRef release() { return std::exchange(pipe_, nullptr); }

 private:
  BodyPipeRef pipe_;
  bool stream_taken_ = false;
  MemoryShare share_;
};

/// Behind `outgoing-body`: the writer's end of a body.
class OutgoingBody final : public wasm::Object {
 public:
  static constexpr std::string_view kResource = "wasi:http/types/outgoing-body";
  /// `declared`: the length that the message's head promises. `size_code`: the failure when it is
  /// another.
  OutgoingBody(WasiContext& context, BodyPipeRef pipe, std::optional<uint64_t> declared,
               const char* size_code);
  ~OutgoingBody() override;
  /// Its stream, once; null then.
  std::shared_ptr<OutputStream> stream();
  /// Nothing more comes. The failure, if it was not as long as declared.
  std::optional<HttpFailure> finish(HttpFields trailers);

  /// Shared with the stream.
  struct State;

 private:
  const std::shared_ptr<State> state_;
  bool stream_taken_ = false;
  MemoryShare share_;
};

/// The message that programs make, with the body that they take before it is sent.
struct OutgoingMessage {
  std::shared_ptr<Fields> fields;
  BodyPipeRef body;  ///< null: not taken

  /// The body, once; null then.
  std::shared_ptr<OutgoingBody> take_body(WasiContext& context, const char* size_code);
};

constexpr const char* kHttpTypes = "wasi:http/types";

}  // namespace pie::wasi
