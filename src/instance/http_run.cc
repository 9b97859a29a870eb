#include "instance/http_run.h"

#include <utility>

#include "instance/http_instance.h"

namespace pie::instance {

HttpRun::HttpRun(std::shared_ptr<HttpInstance> instance, uint64_t number,
                 std::shared_ptr<net::HttpExchange> exchange)
    : instance_(std::move(instance)), number_(number), exchange_(std::move(exchange)) {}

void HttpRun::respond(HttpResponseHead head, BodyPipeRef body) {
  answered_ = true;
  exchange_->respond(std::move(head), std::move(body));
}

void HttpRun::respond_failure(HttpFailure failure) {
  answered_ = true;
  instance_->report(head(), "the program answered with the error " + failure.code);
  exchange_->fail(500, "the program failed");
}

void HttpRun::send_message(std::string text) { instance_->ports().send_message(std::move(text)); }

void HttpRun::send_blob(std::vector<uint8_t> bytes) {
  instance_->ports().send_blob(std::move(bytes));
}

uint64_t HttpRun::writable_bytes() { return instance_->ports().writable_bytes(); }

Result<void> HttpRun::check_room(uint64_t bytes) { return instance_->ports().check_room(bytes); }

void HttpRun::on_writable(std::function<void()> wake) {
  instance_->log_waiters().wait(number_, std::move(wake));
}

void HttpRun::say_stdout(const std::string& text) {
  if (!text.empty()) instance_->ports().write_stdout(text);
}

void HttpRun::say_stderr(const std::string& text) {
  if (!text.empty()) instance_->ports().write_stderr(text);
}

void HttpRun::on_end(End end) {
  say_stdout(stdout_.finish());
  say_stderr(stderr_.finish());
  instance_->run_ended(*this, end);
}

}  // namespace pie::instance
