#pragma once
#include <future>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace pie::engine {

/// The result of something that comes by callback.
template <class T>
class Pending {
 public:
  std::function<void(T)> callback() {
    return [promise = promise_](T value) { promise->set_value(std::move(value)); };
  }
  bool ready() const {
    return future_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  /// Waits; a test whose result never comes fails here.
  T get() {
    if (future_.wait_for(std::chrono::seconds(120)) != std::future_status::ready) {
      throw std::runtime_error("no result within 120 s");
    }
    return future_.get();
  }

 private:
  std::shared_ptr<std::promise<T>> promise_ = std::make_shared<std::promise<T>>();
  std::future<T> future_ = promise_->get_future();
};

using PendingOutput = Pending<Result<ForwardOutput>>;

inline PendingOutput submit(Engine& engine, QueueId queue, ForwardPass pass) {
  PendingOutput pending;
  const Result<void> accepted = engine.submit(queue, std::move(pass), pending.callback());
  if (!accepted.ok()) pending.callback()(accepted.error());
  return pending;
}

inline void close(Engine& engine, InstanceId instance) {
  Pending<bool> closed;
  engine.close_instance(instance, [done = closed.callback()] { done(true); });
  closed.get();
}

/// One sequence of a program: pages, allocated as it grows, and passes at its end.
class Sequence {
 public:
  Sequence(Engine& engine, QueueId queue) : engine_(engine), queue_(queue) {}

  /// The pass that appends `tokens`; asks for the greedy token after the last one.
  ForwardPass append(const std::vector<TokenId>& tokens) {
    ForwardPass pass;
    for (const TokenId token : tokens)
      pass.inputs.push_back({.token = token, .position = length_++});
    const uint32_t size = engine_.page_size();
    while (pages_.size() * size < length_) {
      pages_.emplace_back(engine_.allocate(queue_, 0, 1).value().at(0));
    }
    pass.pages = pages_;
    pass.last_page_len = (length_ - 1) % size + 1;
    pass.tokens = {{.index = static_cast<uint32_t>(tokens.size() - 1)}};
    return pass;
  }
  /// Appends and waits.
  Result<ForwardOutput> run(const std::vector<TokenId>& tokens) {
    return submit(engine_, queue_, append(tokens)).get();
  }
  /// Prefill and greedy decode of `count` tokens.
  std::vector<TokenId> generate(const std::vector<TokenId>& prompt, uint32_t count) {
    std::vector<TokenId> text = run(prompt).value().tokens;
    while (text.size() < count) text.push_back(run({text.back()}).value().tokens.at(0));
    return text;
  }
  const std::vector<VirtualPage>& pages() const { return pages_; }

 private:
  Engine& engine_;
  QueueId queue_;
  std::vector<VirtualPage> pages_;
  uint32_t length_ = 0;
};

}  // namespace pie::engine
