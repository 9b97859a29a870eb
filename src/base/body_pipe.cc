#include "base/body_pipe.h"

#include <algorithm>
#include <utility>

namespace pie {
namespace {

using Wake = std::function<void()>;

void call(const Wake& wake) {
  if (wake) wake();
}

}  // namespace

uint64_t BodyPipe::room() const {
  const std::lock_guard lock(mutex_);
  return room_locked();
}

void BodyPipe::write(std::string bytes) {
  if (bytes.empty()) return;
  Wake reader;
  {
    const std::lock_guard lock(mutex_);
    if (ended_ || failure_ || cancelled_) return;
    if (bytes_.empty())
      bytes_ = std::move(bytes);
    else
      bytes_ += bytes;
    reader.swap(on_readable_);
  }
  call(reader);
}

void BodyPipe::end(HttpFields trailers) {
  Wake reader;
  std::function<void()> forgotten;  // what it holds goes after the lock
  {
    const std::lock_guard lock(mutex_);
    if (ended_ || failure_) return;
    ended_ = true;
    trailers_ = std::move(trailers);
    forgotten = std::exchange(on_cancelled_, nullptr);
    reader.swap(on_readable_);
  }
  call(reader);
}

void BodyPipe::fail(HttpFailure failure) {
  Wake reader;
  std::function<void()> forgotten;
  {
    const std::lock_guard lock(mutex_);
    if (ended_ || failure_) return;
    failure_ = std::move(failure);
    forgotten = std::exchange(on_cancelled_, nullptr);
    reader.swap(on_readable_);
  }
  call(reader);
}

bool BodyPipe::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

void BodyPipe::on_writable(std::function<void()> wake) {
  {
    const std::lock_guard lock(mutex_);
    if (room_locked() == 0 && !cancelled_) return on_writable_.swap(wake);
  }
  wake();
}

void BodyPipe::on_cancelled(std::function<void()> wake) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_ || failure_) {
      if (!cancelled_) return;
    } else {
      on_cancelled_ = std::move(wake);
      return;
    }
  }
  wake();
}

BodyPipe::Read BodyPipe::read(uint64_t bytes_max) {
  Read taken;
  Wake writer;
  {
    const std::lock_guard lock(mutex_);
    if (bytes_.empty()) {
      if (failure_) return {Read::State::kFailed, {}};
      if (ended_) return {Read::State::kEnd, {}};
      return taken;
    }
    if (bytes_max >= bytes_.size()) {
      taken.bytes = std::exchange(bytes_, {});
    } else {
      taken.bytes = bytes_.substr(0, bytes_max);
      bytes_.erase(0, bytes_max);
    }
    if (room_locked() > 0) writer.swap(on_writable_);
  }
  call(writer);
  return taken;
}

bool BodyPipe::readable() const {
  const std::lock_guard lock(mutex_);
  return readable_locked();
}

void BodyPipe::on_readable(std::function<void()> wake) {
  {
    const std::lock_guard lock(mutex_);
    if (!readable_locked()) return on_readable_.swap(wake);
  }
  wake();
}

void BodyPipe::cancel() {
  Wake writer, reader, cancelled;
  {
    const std::lock_guard lock(mutex_);
    if (cancelled_) return;
    cancelled_ = true;
    bytes_ = {};
    if (!ended_ && !failure_)
      failure_ = HttpFailure{"connection-terminated", "the reader has gone"};
    writer.swap(on_writable_);
    reader.swap(on_readable_);
    cancelled.swap(on_cancelled_);
  }
  call(writer);
  call(cancelled);
  call(reader);
}

HttpFields BodyPipe::trailers() const {
  const std::lock_guard lock(mutex_);
  return trailers_;
}

std::optional<HttpFailure> BodyPipe::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace pie
