#pragma once
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "net/http_exchange.h"

namespace pie::net {

/// The exchange that a connection hands out.
class HttpExchangeImpl final : public HttpExchange {
 public:
  struct Answer {
    HttpResponseHead head;
    BodyPipeRef body;
    std::string text;  ///< of fail(): the whole body
  };

  /// `wake` tells the connection that there is an answer; any thread.
  HttpExchangeImpl(HttpRequestHead head, std::function<void()> wake)
      : head_(std::move(head)), wake_(std::move(wake)) {}

  const HttpRequestHead& head() const override { return head_; }
  const BodyPipeRef& body() const override { return body_; }
  void respond(HttpResponseHead head, BodyPipeRef body) override;
  void fail(uint16_t status, std::string text) override;
  void on_gone(std::function<void()> gone) override;

  /// The answer, once.
  std::optional<Answer> take_answer();
  /// The answer is whole, or the client is gone: the last word either way.
  void complete();
  void gone();

 private:
  const HttpRequestHead head_;
  const std::function<void()> wake_;
  const BodyPipeRef body_ = std::make_shared<BodyPipe>();
  mutable std::mutex mutex_;
  bool answered_ = false, complete_ = false, is_gone_ = false;
  std::optional<Answer> answer_;
  std::function<void()> on_gone_;
};

}  // namespace pie::net
