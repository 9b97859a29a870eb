#include "net/http_exchange_impl.h"

namespace pie::net {

void HttpExchangeImpl::respond(HttpResponseHead head, BodyPipeRef body) {
  bool taken = false;
  {
    const std::lock_guard lock(mutex_);
    taken = !answered_ && !is_gone_;
    answered_ = true;
    if (taken) answer_ = Answer{std::move(head), body, {}};
  }
  if (taken) return wake_();
  if (body) body->cancel();
}

void HttpExchangeImpl::fail(uint16_t status, std::string text) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(answered_, true) || is_gone_) return;
    answer_ = Answer{
        {status, {{"content-type", "text/plain; charset=utf-8"}}}, nullptr, std::move(text) + "\n"};
  }
  wake_();
}

void HttpExchangeImpl::on_gone(std::function<void()> gone) {
  {
    const std::lock_guard lock(mutex_);
    if (complete_) return;
    if (!is_gone_) {
      on_gone_ = std::move(gone);
      return;
    }
  }
  gone();
}

std::optional<HttpExchangeImpl::Answer> HttpExchangeImpl::take_answer() {
  const std::lock_guard lock(mutex_);
  return std::exchange(answer_, std::nullopt);
}

void HttpExchangeImpl::complete() {
  std::function<void()> forgotten;  // what it holds goes after the lock
  const std::lock_guard lock(mutex_);
  complete_ = true;
  forgotten = std::move(on_gone_);
  on_gone_ = nullptr;
}

void HttpExchangeImpl::gone() {
  std::function<void()> gone;
  std::optional<Answer> unsent;
  {
    const std::lock_guard lock(mutex_);
    if (complete_ || is_gone_) return;
    is_gone_ = true;
    gone = std::move(on_gone_);
    on_gone_ = nullptr;
    unsent = std::exchange(answer_, std::nullopt);
  }
  body_->fail({"connection-terminated", "the client has gone"});
  if (unsent && unsent->body) unsent->body->cancel();
  if (gone) gone();
}

}  // namespace pie::net
