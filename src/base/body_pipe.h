#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/http.h"

namespace pie {

/// An HTTP body on its way from one thread to another: one writer, one reader, bounded.
/// Thread-safe. A wake-up is called once, without a lock, on the thread of whoever caused it (at
/// once, when there is cause already); it must be quick. Each end waits for one thing at a time: a
/// further on_...() forgets the wake-up before it. Whoever lets go of his end without a word
/// has failed: the writer by fail(), the reader by cancel().
class BodyPipe {
 public:
  static constexpr uint64_t kDefaultBytesMax = 64 << 10;
  explicit BodyPipe(uint64_t bytes_max = kDefaultBytesMax) : bytes_max_(bytes_max) {}
  BodyPipe(const BodyPipe&) = delete;
  BodyPipe& operator=(const BodyPipe&) = delete;

  // The writer's end.
  /// How many bytes are taken now; 0: wait.
  uint64_t room() const;
  /// Takes `bytes`, also above room() (by one write). After end(), fail() or cancel() it drops
  /// them.
  void write(std::string bytes);
  /// Nothing more comes. The first of end() and fail() counts.
  void end(HttpFields trailers = {});
  void fail(HttpFailure failure);
  /// The reader wants no more.
  bool cancelled() const;
  void on_writable(std::function<void()> wake);   ///< room() > 0, or cancelled()
  void on_cancelled(std::function<void()> wake);  ///< forgotten at the end

  // The reader's end.
  struct Read {
    enum class State {
      kBytes,  ///< `bytes`; none: nothing has come yet
      kEnd,    ///< everything was read
      kFailed,
    };
    State state = State::kBytes;
    std::string bytes;
  };
  Read read(uint64_t bytes_max);
  bool readable() const;                         ///< read() would not give "nothing yet"
  void on_readable(std::function<void()> wake);  ///< readable()
  void cancel();
  /// After kEnd.
  HttpFields trailers() const;
  /// Why it failed, if it did.
  std::optional<HttpFailure> failure() const;

 private:
  bool readable_locked() const { return !bytes_.empty() || ended_ || failure_; }
  uint64_t room_locked() const {
    return bytes_.size() < bytes_max_ ? bytes_max_ - bytes_.size() : 0;
  }

  const uint64_t bytes_max_;
  mutable std::mutex mutex_;
  std::string bytes_;
  bool ended_ = false;
  bool cancelled_ = false;
  HttpFields trailers_;
  std::optional<HttpFailure> failure_;
  std::function<void()> on_writable_, on_readable_, on_cancelled_;
};
using BodyPipeRef = std::shared_ptr<BodyPipe>;

}  // namespace pie
