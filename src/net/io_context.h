#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "net/io_threads.h"

namespace pie::net {

struct IoThreads::Impl {
  boost::asio::io_context io;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{io.get_executor()};
  std::vector<std::thread> threads;
};

/// Runs handlers until the context has stopped or has no work. What a handler throws (there is no
/// memory) ends its own doing alone.
inline void run_handlers(boost::asio::io_context& io) {
  for (;;) {
    try {
      io.run();
      return;
    } catch (const std::exception& failure) {
      log::error("network: a handler ended with: {}", failure.what());
    }
  }
}

/// What a coroutine waits for and another one, or a posted task, says. One strand only; one waiter.
class Signal {
 public:
  explicit Signal(const boost::asio::any_io_executor& executor)
      : timer_(executor, boost::asio::steady_timer::time_point::max()) {}

  void set() {
    is_set_ = true;
    timer_.cancel();
  }
  /// Until set(), also one before.
  boost::asio::awaitable<void> wait() {
    boost::system::error_code ignored;
    while (!is_set_)
      co_await timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    is_set_ = false;
  }

 private:
  boost::asio::steady_timer timer_;
  bool is_set_ = false;
};

/// Calls a function unless it is disarmed, or armed anew, in time. One strand only; the function
/// keeps alive what it needs.
class Deadline {
 public:
  explicit Deadline(const boost::asio::any_io_executor& executor) : timer_(executor) {}

  template <class Function>
  void arm(uint64_t ms, Function expired) {
    const uint64_t round = ++*round_;
    timer_.expires_after(std::chrono::milliseconds(ms));
    timer_.async_wait([round, current = round_,
                       run = std::move(expired)](boost::system::error_code failed) mutable {
      if (!failed && round == *current) run();
    });
  }
  void disarm() {
    ++*round_;
    timer_.cancel();
  }

 private:
  boost::asio::steady_timer timer_;
  const std::shared_ptr<uint64_t> round_ = std::make_shared<uint64_t>(0);
};

}  // namespace pie::net
