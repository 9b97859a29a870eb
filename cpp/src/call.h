#pragma once
#include <chrono>
#include <condition_variable>
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string_view>
#include <utility>

#include "client/client.h"
#include "errors.h"

namespace pie {

/// The connection that a PieClient and its instances share.
struct ClientConnection {
  client::Client client;
  std::optional<std::chrono::milliseconds> call_timeout;
};

/// The token of this thread's innermost CancelScope; one that never stops without a scope.
std::stop_token current_stop_token();

/// What a blocked call waits for: that it is ready, somebody who stops it, or its time.
/// Thread-safe.
class CallSignal {
 public:
  enum class Woken { kReady, kStopped, kTimeout };

  void ready() { set(is_ready_); }
  void stop() { set(is_stopped_); }
  /// Also woken by this thread's CancelScope. Ready wins over stopped.
  Woken wait(std::optional<std::chrono::milliseconds> timeout);

 private:
  void set(bool& flag);

  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_ready_ = false;
  bool is_stopped_ = false;
};

/// Starts a call and waits for it: `start` takes the `done` and returns the CallId. Throws; under a
/// CancelScope that was stopped before, nothing is started.
template <class T, class Start>
T await_call(ClientConnection& connection, Start start, Otherwise otherwise = Otherwise::kPieError,
             const std::shared_ptr<CallSignal>& signal = std::make_shared<CallSignal>()) {
  if (current_stop_token().stop_requested()) throw CancelledError("the call was cancelled");
  auto answer = std::make_shared<std::optional<Result<T>>>();
  const client::CallId call = start([signal, answer](Result<T> result) {
    *answer = std::move(result);
    signal->ready();
  });
  const CallSignal::Woken woken = signal->wait(connection.call_timeout);
  if (woken != CallSignal::Woken::kReady) connection.client.cancel(call);
  if (woken == CallSignal::Woken::kTimeout) {
    throw PieTimeoutError("the server did not answer within " +
                          std::to_string(connection.call_timeout->count()) + " ms");
  }
  if (woken == CallSignal::Woken::kStopped) throw CancelledError("the call was cancelled");
  if (!(*answer)->ok()) raise((*answer)->error(), otherwise);
  if constexpr (!std::is_void_v<T>) return std::move(***answer);
}

/// An upload out of the caller's memory: `start` takes (source, progress, done). Returns the hash;
/// when it returns or throws, nobody reads the source any more.
template <class Start>
std::string await_upload(ClientConnection& connection, client::UploadSource source,
                         const Progress& progress, Otherwise otherwise, Start start) {
  auto failure = std::make_shared<std::exception_ptr>();
  auto signal = std::make_shared<CallSignal>();
  client::Progress told;
  if (progress) {
    told = [progress, failure, signal](uint64_t sent, uint64_t total) {
      try {
        if (!*failure) progress(sent, total);
      } catch (...) {
        *failure = std::current_exception();
        signal->stop();
      }
    };
  }
  try {
    std::string hash = await_call<std::string>(
        connection,
        [&](auto done) { return start(std::move(source), std::move(told), std::move(done)); },
        otherwise, signal);
    if (!*failure) return hash;
  } catch (const CancelledError&) {
    if (!*failure) throw;
  }
  std::rethrow_exception(*failure);
}

/// Lends the caller's bytes to an upload, and waits in its destructor until they are given back.
class Lent {
 public:
  explicit Lent(std::string_view bytes) : bytes_(bytes), returned_(promise_->get_future()) {}
  ~Lent() {
    if (is_lent_) returned_.wait();
  }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

  client::UploadSource source() {
    is_lent_ = true;
    return client::borrowed_source(
        {reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()},
        std::shared_ptr<void>(nullptr, [promise = promise_](void*) { promise->set_value(); }));
  }

 private:
  std::string_view bytes_;
  std::shared_ptr<std::promise<void>> promise_ = std::make_shared<std::promise<void>>();
  std::future<void> returned_;
  bool is_lent_ = false;
};

}  // namespace pie
