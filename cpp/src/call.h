#pragma once
#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "client/client.h"
#include "errors.h"

namespace pie {

/// The connection that a PieClient and its instances share.
struct Connection {
  client::Client client;
  std::optional<std::chrono::milliseconds> call_timeout;
};

/// Starts a call and waits for it: `start` takes the `done` and returns the CallId. Throws.
template <class T, class Start>
T await_call(Connection& connection, Start start, Otherwise otherwise = Otherwise::kPieError) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  std::future<Result<T>> ended = promise->get_future();
  const client::CallId call =
      start([promise](Result<T> result) { promise->set_value(std::move(result)); });
  const auto& timeout = connection.call_timeout;
  if (timeout && ended.wait_for(*timeout) == std::future_status::timeout) {
    connection.client.cancel(call);
    throw PieTimeoutError("the server did not answer within " + std::to_string(timeout->count()) +
                          " ms");
  }
  Result<T> result = ended.get();
  if (!result.ok()) raise(result.error(), otherwise);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// An upload out of the caller's memory: `start` takes (source, progress, done). Returns the hash;
/// when it returns or throws, nobody reads the source any more.
template <class Start>
std::string await_upload(Connection& connection, client::UploadSource source,
                         const Progress& progress, Otherwise otherwise, Start start) {
  auto failure = std::make_shared<std::exception_ptr>();
  client::Progress told;
  if (progress) {
    told = [progress, failure](uint64_t sent, uint64_t total) {
      try {
        if (!*failure) progress(sent, total);
      } catch (...) {
        *failure = std::current_exception();
      }
    };
  }
  std::string hash = await_call<std::string>(
      connection,
      [&](auto done) { return start(std::move(source), std::move(told), std::move(done)); },
      otherwise);
  if (*failure) std::rethrow_exception(*failure);
  return hash;
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
