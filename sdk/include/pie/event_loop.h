#pragma once
// How coroutines wait. Programs use pie/task.h and what gives tasks; this is for those who write
// awaitables of their own.
#include <coroutine>
#include <cstddef>
#include <utility>

#include "pie/poll.h"

namespace inferlet::loop {

/// A place in one list at most; leaves it when it is destroyed.
class Link {
 public:
  constexpr Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  constexpr ~Link() { unlink(); }

  Link* next() const { return next_; }
  constexpr bool is_linked() const { return next_ != nullptr; }
  void insert_before(Link& at);
  constexpr void unlink() {
    if (next_ == nullptr) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = nullptr;
  }

 protected:
  constexpr void begin_list() { next_ = previous_ = this; }

 private:
  Link* next_ = nullptr;
  Link* previous_ = nullptr;
};

/// A coroutine as the event loop knows it: the base of every promise that waits here.
class Frame : public Link {
 public:
  explicit Frame(std::coroutine_handle<> self) : self_(self) {}
  /// Goes on when those before it have; once, however often this is called before it does.
  void make_ready();
  void resume() { self_.resume(); }

 private:
  std::coroutine_handle<> self_;
};

/// `co_await` one: goes on when the pollable is ready. Destroyed before, it is not waited for any
/// more. Neither copied nor moved while it is awaited.
class Wait : public Link {
 public:
  explicit Wait(Pollable pollable) : pollable_(std::move(pollable)) {}
  bool await_ready() const { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> waiter) {
    begin(waiter.promise());
  }
  void await_resume() const {}

  void begin(Frame& waiter);
  void wake();
  const Pollable& pollable() const { return pollable_; }

 private:
  Pollable pollable_;
  Frame* waiter_ = nullptr;
};

/// Runs what can go on, and waits for all pollables together when nothing can, until `is_done` of
/// `of` says so. The program ends when that can never be.
void run_until(bool (*is_done)(const void*), const void* of);

}  // namespace inferlet::loop

namespace inferlet {

/// `co_await until_ready(inbox.pollable())`.
inline loop::Wait until_ready(Pollable pollable) { return loop::Wait(std::move(pollable)); }

}  // namespace inferlet
