#pragma once
#include <future>
#include <memory>
#include <utility>

#include "base/result.h"

namespace pie::client {

/// Starts a call and blocks until it ends, which every call does:
///   Result<std::string> text = wait_for<std::string>([&](auto done) { client.query(s, r, done);
///   });
/// Not from the client's own thread.
template <class T, class Start>
Result<T> wait_for(Start start) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  std::future<Result<T>> result = promise->get_future();
  start([promise](Result<T> ended) { promise->set_value(std::move(ended)); });
  return result.get();
}

}  // namespace pie::client
