#include "pie/event_loop.h"

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <vector>

#include "pie/clock.h"
#include "pie/runtime.h"

namespace inferlet::loop {
namespace {

/// What the host takes in one poll, less the alarm of a longer list.
constexpr size_t kPollMax = 32'767;
constexpr std::chrono::milliseconds kTurn{1};

class List : public Link {
 public:
  constexpr List() { begin_list(); }
  bool is_empty() const { return next() == this; }
};

constinit List ready_frames;
constinit List waits;

/// Waits for what the poll list has; the lists keep their memory from one poll to the next. Of a
/// list longer than a poll takes, each part has its turn.
void poll_all() {
  static std::vector<abi::Handle> handles;
  static std::vector<Wait*> polled;
  Link* const first = waits.next();
  if (first->next() == &waits) {
    auto& only = static_cast<Wait&>(*first);
    only.pollable().block();
    return only.wake();
  }
  handles.clear();
  polled.clear();
  for (Link* at = first; at != &waits && handles.size() < kPollMax; at = at->next()) {
    polled.push_back(static_cast<Wait*>(at));
    handles.push_back(polled.back()->pollable().handle());
  }
  std::optional<Pollable> alarm;
  if (polled.back()->next() != &waits) {
    alarm = timer(kTurn);
    handles.push_back(alarm->handle());
    for (Wait* const wait : polled) {
      wait->unlink();
      wait->insert_before(waits);
    }
  }
  abi::U32s out;
  abi::poll(handles.data(), static_cast<uint32_t>(handles.size()), &out);
  for (uint32_t i = 0; i < out.size; ++i)
    if (out.data[i] < polled.size()) polled[out.data[i]]->wake();
  if (out.size != 0) std::free(out.data);
}

}  // namespace

void Link::insert_before(Link& at) {
  next_ = &at;
  previous_ = at.previous_;
  previous_->next_ = this;
  at.previous_ = this;
}

void Frame::make_ready() {
  if (!is_linked()) insert_before(ready_frames);
}

void Wait::begin(Frame& waiter) {
  waiter_ = &waiter;
  insert_before(waits);
}

void Wait::wake() {
  unlink();
  waiter_->make_ready();
}

void run_until(bool (*is_done)(const void*), const void* of) {
  while (!is_done(of)) {
    if (!ready_frames.is_empty()) {
      auto& next = static_cast<Frame&>(*ready_frames.next());
      next.unlink();
      next.resume();
    } else if (!waits.is_empty()) {
      poll_all();
    } else {
      print_error("[wait] got a task that waits for nothing, expected one that can end\n");
      __builtin_trap();
    }
  }
}

}  // namespace inferlet::loop
