#include "base/body_pipe.h"

#include <algorithm>
#include <utility>

namespace pie {
namespace {

void call(const std::vector<std::function<void()>>& wakes) {
  for (const auto& wake : wakes) wake();
}

}  // namespace

uint64_t BodyPipe::room() const {
  const std::lock_guard lock(mutex_);
  return room_locked();
}

void BodyPipe::write(std::string bytes) {
  if (bytes.empty()) return;
  Wakes readers;
  {
    const std::lock_guard lock(mutex_);
    if (ended_ || failure_ || cancelled_) return;
    if (bytes_.empty())
      bytes_ = std::move(bytes);
    else
      bytes_ += bytes;
    readers.swap(readers_);
  }
  call(readers);
}

void BodyPipe::end(HttpFields trailers) {
  Wakes readers;
  std::function<void()> forgotten;  // what it holds goes after the lock
  {
    const std::lock_guard lock(mutex_);
    if (ended_ || failure_) return;
    ended_ = true;
    trailers_ = std::move(trailers);
    forgotten = std::exchange(on_cancelled_, nullptr);
    readers.swap(readers_);
  }
  call(readers);
}

void BodyPipe::fail(HttpFailure failure) {
  Wakes readers;
  std::function<void()> forgotten;
  {
    const std::lock_guard lock(mutex_);
    if (ended_ || failure_) return;
    failure_ = std::move(failure);
    forgotten = std::exchange(on_cancelled_, nullptr);
    readers.swap(readers_);
  }
  call(readers);
}

bool BodyPipe::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

void BodyPipe::on_writable(std::function<void()> wake) {
  {
    const std::lock_guard lock(mutex_);
    if (room_locked() == 0 && !cancelled_) return writers_.push_back(std::move(wake));
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
  Wakes writers;
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
    if (room_locked() > 0) writers.swap(writers_);
  }
  call(writers);
  return taken;
}

bool BodyPipe::readable() const {
  const std::lock_guard lock(mutex_);
  return readable_locked();
}

void BodyPipe::on_readable(std::function<void()> wake) {
  {
    const std::lock_guard lock(mutex_);
    if (!readable_locked()) return readers_.push_back(std::move(wake));
  }
  wake();
}

void BodyPipe::cancel() {
  Wakes writers, readers;
  {
    const std::lock_guard lock(mutex_);
    if (cancelled_) return;
    cancelled_ = true;
    bytes_ = {};
    if (!ended_ && !failure_)
      failure_ = HttpFailure{"connection-terminated", "the reader has gone"};
    writers.swap(writers_);
    readers.swap(readers_);
    if (on_cancelled_) writers.push_back(std::exchange(on_cancelled_, nullptr));
  }
  call(writers);
  call(readers);
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
