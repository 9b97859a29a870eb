#include "server/http_instance.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/utf8.h"

namespace pie::server {
namespace {

constexpr uint64_t kTickMs = 1'000;
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr size_t kTargetShownMax = 200;

/// The answer to a request whose program ended without one.
uint16_t status_of(const host::End& end) {
  return end.kind == host::EndKind::kOutOfResources ? 503 : 500;
}

std::string what_failed(const host::End& end) {
  switch (end.kind) {
    case host::EndKind::kCompleted: return "the program returned without an answer";
    case host::EndKind::kOutOfResources: return "out of resources: " + end.message;
    default: return end.message;
  }
}

}  // namespace

/// The connection's exchange, as a program sees it.
class HttpInstance::Exchange final : public wasi::IncomingExchange {
 public:
  Exchange(std::shared_ptr<HttpInstance> instance, std::shared_ptr<net::HttpExchange> exchange)
      : instance_(std::move(instance)), exchange_(std::move(exchange)) {}

  const HttpRequestHead& head() const override { return exchange_->head(); }
  const BodyPipeRef& body() const override { return exchange_->body(); }
  void respond(HttpResponseHead head, BodyPipeRef body) override {
    answered_ = true;
    exchange_->respond(std::move(head), std::move(body));
  }
  void respond_failure(HttpFailure failure) override {
    answered_ = true;
    instance_->report(head(), "the program answered with the error " + failure.code);
    exchange_->fail(500, "the program failed");
  }
  void fail(uint16_t status, const std::string& text) const { exchange_->fail(status, text); }
  bool answered() const { return answered_; }

 private:
  const std::shared_ptr<HttpInstance> instance_;
  const std::shared_ptr<net::HttpExchange> exchange_;
  std::atomic<bool> answered_ = false;
};

/// What one run says: to the log of the instance, in whole characters, so that runs that speak at
/// the same time don't cut each other's.
class HttpInstance::RunPorts final : public host::InstancePorts,
                                     public std::enable_shared_from_this<RunPorts> {
 public:
  RunPorts(std::shared_ptr<HttpInstance> instance, uint64_t number,
           std::shared_ptr<Exchange> exchange)
      : instance_(std::move(instance)), number_(number), exchange_(std::move(exchange)) {}

  void write_stdout(std::string_view bytes) override { say_stdout(stdout_.push(bytes)); }
  void write_stderr(std::string_view bytes) override { say_stderr(stderr_.push(bytes)); }
  void send_message(std::string text) override { ports().send_message(std::move(text)); }
  void send_blob(std::vector<uint8_t> bytes) override { ports().send_blob(std::move(bytes)); }
  uint64_t writable_bytes() override { return ports().writable_bytes(); }
  void on_writable(std::function<void()> wake) override {
    instance_->log_waiters_->wait(number_, std::move(wake));
  }
  /// On an engine's thread, which must not wait for the log's disk.
  void on_end(host::End end) override {
    instance_->parts_.threads.post_after(0, [self = shared_from_this(), instance = instance_,
                                             exchange = exchange_, end = std::move(end)] {
      self->say_stdout(self->stdout_.finish());
      self->say_stderr(self->stderr_.finish());
      instance->run_ended(self->number_, *exchange, end);
    });
    exchange_ = nullptr;
  }

 private:
  host::InstancePorts& ports() { return *instance_->parts_.spec.ports; }
  void say_stdout(const std::string& text) {
    if (!text.empty()) ports().write_stdout(text);
  }
  void say_stderr(const std::string& text) {
    if (!text.empty()) ports().write_stderr(text);
  }

  const std::shared_ptr<HttpInstance> instance_;
  const uint64_t number_;
  std::shared_ptr<Exchange> exchange_;
  Utf8Stream stdout_, stderr_;
};

Result<std::shared_ptr<HttpInstance>> HttpInstance::launch(Parts parts) {
  auto instance = std::make_shared<HttpInstance>(std::move(parts));
  PIE_TRY(instance->listen());
  instance->schedule_tick();
  return instance;
}

Result<void> HttpInstance::listen() {
  auto server = net::HttpServer::listen(
      parts_.threads, parts_.sockets,
      [weak = weak_from_this()](const std::shared_ptr<net::HttpExchange>& exchange) {
        if (const auto self = weak.lock()) return self->serve(exchange);
        exchange->fail(503, "the instance has ended");
      });
  if (!server.ok()) return std::move(server).error();
  const std::lock_guard lock(mutex_);
  server_ = std::move(*server);
  return {};
}

void HttpInstance::serve(const std::shared_ptr<net::HttpExchange>& exchange) {
  uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!end_) {
      number = ++last_number_;
      runs_[number].deadline_ns = system_clock().now_ns() + parts_.request_s_max * kSecondNs;
    }
  }
  if (number == 0) return exchange->fail(503, "the instance is ending");
  auto shown = std::make_shared<Exchange>(shared_from_this(), exchange);
  host::LaunchSpec spec = parts_.spec;
  spec.id = parts_.next_id();
  spec.ports = std::make_shared<RunPorts>(shared_from_this(), number, shown);
  spec.exchange = shown;
  auto program = parts_.host.launch(std::move(spec));
  if (!program.ok()) {
    {
      const std::lock_guard lock(mutex_);
      runs_.erase(number);
    }
    report(exchange->head(), program.error().message);
    exchange->fail(503, "the server cannot run the program now");
    return finish_if_over();
  }
  launched(number, std::move(*program));
  exchange->on_gone([weak = weak_from_this(), number] {
    if (const auto self = weak.lock())
      self->end_run(number, {host::EndKind::kAborted, "the client has gone"});
  });
}

void HttpInstance::launched(uint64_t number, std::shared_ptr<host::RunningInstance> program) {
  std::optional<host::End> termination;
  {
    const std::lock_guard lock(mutex_);
    const auto run = runs_.find(number);
    if (run == runs_.end()) return;  // it has ended already
    run->second.program = program;
    termination = run->second.termination;
  }
  if (termination) program->terminate(std::move(*termination));
}

void HttpInstance::end_run(uint64_t number, host::End end) {
  std::shared_ptr<host::RunningInstance> program;
  {
    const std::lock_guard lock(mutex_);
    const auto run = runs_.find(number);
    if (run == runs_.end()) return;
    program = run->second.program;
    if (!program) run->second.termination = end;
  }
  if (program) program->terminate(std::move(end));
}

void HttpInstance::run_ended(uint64_t number, const Exchange& exchange, const host::End& end) {
  bool is_late = false, is_ending = false;
  {
    const std::lock_guard lock(mutex_);
    is_late = runs_[number].is_late;
    is_ending = end_.has_value();
    runs_.erase(number);
  }
  log_waiters_->forget(number);
  const bool is_fine = end.kind == host::EndKind::kCompleted && exchange.answered();
  if (!is_fine && !is_ending && end.kind != host::EndKind::kAborted)
    report(exchange.head(), what_failed(end));
  if (!exchange.answered())
    exchange.fail(is_late     ? 504
                  : is_ending ? 503
                              : status_of(end),
                  is_late     ? "the program took too long"
                  : is_ending ? "the instance has ended"
                              : "the program failed");
  finish_if_over();
}

void HttpInstance::report(const HttpRequestHead& head, const std::string& what) {
  host::InstancePorts& ports = *parts_.spec.ports;
  uint64_t unreported = 0;
  {
    const std::lock_guard lock(mutex_);
    if (ports.writable_bytes() == 0) {
      ++unreported_;
      return;
    }
    unreported = std::exchange(unreported_, 0);
  }
  if (unreported > 0)
    ports.write_stderr("[" + std::to_string(unreported) +
                       " failed requests were not told of: the log was full]\n");
  ports.write_stderr("[" + head.method + " " + head.target.substr(0, kTargetShownMax) + "] " +
                     to_utf8(what) + "\n");
}

void HttpInstance::schedule_tick() {
  parts_.threads.post_after(kTickMs, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->tick();
  });
}

void HttpInstance::tick() {
  const uint64_t now_ns = system_clock().now_ns();
  std::vector<uint64_t> late;
  {
    const std::lock_guard lock(mutex_);
    if (end_) return;
    for (auto& [number, run] : runs_) {
      if (now_ns < run.deadline_ns || run.is_late) continue;
      run.is_late = true;
      late.push_back(number);
    }
  }
  const std::string allowed = std::to_string(parts_.request_s_max) + " s";
  for (const uint64_t number : late)
    end_run(number, {host::EndKind::kOutOfResources,
                     "time of one request: used more than " + allowed + ", allowed " + allowed});
  schedule_tick();
}

void HttpInstance::terminate(host::End end) {
  std::vector<uint64_t> numbers;
  std::shared_ptr<net::HttpServer> server;
  {
    const std::lock_guard lock(mutex_);
    if (end_) return;
    end_ = std::move(end);
    server = server_;
    for (const auto& [number, run] : runs_) numbers.push_back(number);
  }
  for (const uint64_t number : numbers)
    end_run(number, {host::EndKind::kAborted, "the instance is ending"});
  server->stop([self = shared_from_this()] {
    {
      const std::lock_guard lock(self->mutex_);
      self->port_is_free_ = true;
    }
    self->finish_if_over();
  });
}

void HttpInstance::finish_if_over() {
  host::End end;
  {
    const std::lock_guard lock(mutex_);
    if (!end_ || !port_is_free_ || !runs_.empty() || is_over_) return;
    is_over_ = true;
    end = *end_;
  }
  parts_.spec.ports->on_end(std::move(end));
}

std::vector<host::ModelUse> HttpInstance::use_by_model() const {
  const std::lock_guard lock(mutex_);
  std::vector<host::ModelUse> sum;
  for (const auto& [number, run] : runs_) {
    if (!run.program) continue;
    const auto uses = run.program->use_by_model();
    sum.resize(std::max(sum.size(), uses.size()));
    for (size_t model = 0; model < uses.size(); ++model) sum[model] += uses[model];
  }
  return sum;
}

uint64_t HttpInstance::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  uint64_t bytes = 0;
  for (const auto& [number, run] : runs_)
    if (run.program) bytes += run.program->memory_bytes();
  return bytes;
}

}  // namespace pie::server
