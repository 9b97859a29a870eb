#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "host/instance_ports.h"
#include "host/running_instance.h"
#include "net/http_server.h"
#include "ports/http.h"

namespace pie::instance {

class HttpInstance;

/// One request to an HTTP instance, and the run of its program that answers it. What the run says
/// goes to the log of the instance, in whole characters, so that runs that speak at the same time
/// don't cut each other's. Thread-safe as its two interfaces ask for.
class HttpRun final : public host::InstancePorts,
                      public IncomingExchange,
                      public std::enable_shared_from_this<HttpRun> {
 public:
  HttpRun(std::shared_ptr<HttpInstance> instance, uint64_t number,
          std::shared_ptr<net::HttpExchange> exchange);

  uint64_t number() const { return number_; }
  /// What it launches, before its program is prepared.
  void set_children(std::shared_ptr<Children> children) { children_ = std::move(children); }
  /// Answers, unless the program has.
  void fail(uint16_t status, const std::string& text) { exchange_->fail(status, text); }
  bool answered() const { return answered_; }

  // IncomingExchange
  const HttpRequestHead& head() const override { return exchange_->head(); }
  const BodyPipeRef& body() const override { return exchange_->body(); }
  void respond(HttpResponseHead head, BodyPipeRef body) override;
  void respond_failure(HttpFailure failure) override;

  // host::InstancePorts
  void write_stdout(std::string_view bytes) override { say_stdout(stdout_.push(bytes)); }
  void write_stderr(std::string_view bytes) override { say_stderr(stderr_.push(bytes)); }
  void send_message(std::string text) override;
  void send_blob(std::vector<uint8_t> bytes) override;
  uint64_t writable_bytes() override;
  void on_writable(std::function<void()> wake) override;
  Result<void> check_room(uint64_t bytes) override;
  std::shared_ptr<Children> children() override { return children_; }
  std::optional<std::string> parent() const override { return std::nullopt; }
  void on_end(End end) override;

 private:
  void say_stdout(const std::string& text);
  void say_stderr(const std::string& text);

  const std::shared_ptr<HttpInstance> instance_;
  const uint64_t number_;
  const std::shared_ptr<net::HttpExchange> exchange_;
  std::atomic<bool> answered_ = false;
  Utf8Stream stdout_, stderr_;
  std::shared_ptr<Children> children_;
};

}  // namespace pie::instance
