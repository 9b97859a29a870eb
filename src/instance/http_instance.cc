#include "instance/http_instance.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/utf8.h"

namespace pie::instance {
namespace {

constexpr uint64_t kTickMs = 1'000;
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr size_t kTargetShownMax = 200;

/// The answer to a request whose program ended without one.
uint16_t status_of(const End& end) { return end.kind == EndKind::kOutOfResources ? 503 : 500; }

std::string what_failed(const End& end) {
  switch (end.kind) {
    case EndKind::kCompleted: return "the program returned without an answer";
    case EndKind::kOutOfResources: return "out of resources: " + end.message;
    default: return end.message;
  }
}

}  // namespace

HttpInstance::HttpInstance(Parts parts)
    : parts_(std::move(parts)),
      log_waiters_(std::make_shared<LogWaiters>([ports = parts_.spec.ports](LogWaiters::Wake wake) {
        ports->on_writable(std::move(wake));
      })) {}

Result<void> HttpInstance::start() {
  bool is_ending = false;
  {
    const std::lock_guard lock(mutex_);
    is_ending = end_.has_value();
    is_port_free_ = is_ending;
  }
  if (is_ending) {
    finish_if_over();
    return {};
  }
  auto server = net::HttpServer::listen(
      parts_.threads, parts_.sockets,
      [weak = weak_from_this()](const std::shared_ptr<net::HttpExchange>& exchange) {
        if (const auto self = weak.lock()) return self->serve(exchange);
        exchange->fail(503, "the instance has ended");
      });
  if (!server.ok()) return std::move(server).error();
  {
    const std::lock_guard lock(mutex_);
    server_ = *server;
    is_ending = end_.has_value();
  }
  if (is_ending) stop_listening(*server);
  schedule_tick();
  return {};
}

Result<std::shared_ptr<host::RunningInstance>> HttpInstance::prepare(
    const std::shared_ptr<HttpRun>& run) {
  host::LaunchSpec spec = parts_.spec;
  run->set_children(parts_.begin_run(spec));
  spec.ports = run;
  spec.exchange = run;
  PIE_TRY_ASSIGN(auto program, parts_.host.prepare(std::move(spec)));
  const uint64_t deadline_ns = system_clock().now_ns() + parts_.request_s_max * kSecondNs;
  const std::lock_guard lock(mutex_);
  if (end_) return Error{ErrorCode::kCancelled, "the instance is ending"};
  served_[run->number()] = {program, deadline_ns};
  return program;
}

void HttpInstance::serve(const std::shared_ptr<net::HttpExchange>& exchange) {
  uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = ++last_number_;
  }
  const auto run = std::make_shared<HttpRun>(shared_from_this(), number, exchange);
  const auto program = prepare(run);
  if (!program.ok()) return refuse(*run, program.error());
  if (const auto started = (*program)->start(); !started.ok()) return refuse(*run, started.error());
  exchange->on_gone([weak = std::weak_ptr(*program)] {
    if (const auto one = weak.lock()) one->terminate({EndKind::kAborted, "the client has gone"});
  });
}

void HttpInstance::refuse(HttpRun& run, const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    served_.erase(run.number());
  }
  const bool is_ending = error.code == ErrorCode::kCancelled;
  if (!is_ending) report(run.head(), error.message);
  run.fail(503, is_ending ? error.message : "the server cannot run the program now");
  finish_if_over();
}

void HttpInstance::run_ended(HttpRun& run, const End& end) {
  bool is_late = false, is_ending = false;
  std::shared_ptr<host::RunningInstance> program;  // goes after the lock
  {
    const std::lock_guard lock(mutex_);
    const auto served = served_.find(run.number());
    is_late = served->second.is_late;
    is_ending = end_.has_value();
    program = std::move(served->second.program);
    served_.erase(served);
  }
  log_waiters_->forget(run.number());
  const bool is_fine = end.kind == EndKind::kCompleted && run.answered();
  if (!is_fine && !is_ending && end.kind != EndKind::kAborted) report(run.head(), what_failed(end));
  if (!run.answered())
    run.fail(is_late     ? 504
             : is_ending ? 503
                         : status_of(end),
             is_late     ? "the program took too long"
             : is_ending ? "the instance has ended"
                         : "the program failed");
  finish_if_over();
}

void HttpInstance::report(const HttpRequestHead& head, const std::string& what) {
  uint64_t unreported = 0;
  {
    const std::lock_guard lock(mutex_);
    if (ports().writable_bytes() == 0) {
      ++unreported_;
      return;
    }
    unreported = std::exchange(unreported_, 0);
  }
  if (unreported > 0)
    ports().write_stderr("[" + std::to_string(unreported) +
                         " failed requests were not told of: the log was full]\n");
  ports().write_stderr("[" + head.method + " " + head.target.substr(0, kTargetShownMax) + "] " +
                       to_utf8(what) + "\n");
}

void HttpInstance::schedule_tick() {
  parts_.threads.post_after(kTickMs, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->tick();
  });
}

void HttpInstance::tick() {
  const uint64_t now_ns = system_clock().now_ns();
  Programs late;
  {
    const std::lock_guard lock(mutex_);
    if (end_) return;
    for (auto& [number, served] : served_) {
      if (now_ns < served.deadline_ns || served.is_late) continue;
      served.is_late = true;
      late.push_back(served.program);
    }
  }
  const std::string allowed = std::to_string(parts_.request_s_max) + " s";
  for (const auto& program : late)
    program->terminate({EndKind::kOutOfResources,
                        "time of one request: used more than " + allowed + ", allowed " + allowed});
  schedule_tick();
}

void HttpInstance::terminate(End end) {
  std::shared_ptr<net::HttpServer> server;
  {
    const std::lock_guard lock(mutex_);
    if (end_) return;
    end_ = std::move(end);
    server = server_;
  }
  for (const auto& program : programs())
    program->terminate({EndKind::kAborted, "the instance is ending"});
  if (server) stop_listening(server);
}

void HttpInstance::stop_listening(const std::shared_ptr<net::HttpServer>& server) {
  server->stop([self = shared_from_this()] {
    {
      const std::lock_guard lock(self->mutex_);
      self->is_port_free_ = true;
    }
    self->finish_if_over();
  });
}

void HttpInstance::finish_if_over() {
  End end;
  {
    const std::lock_guard lock(mutex_);
    if (!end_ || !is_port_free_ || !served_.empty() || is_over_) return;
    is_over_ = true;
    end = *end_;
  }
  ports().on_end(std::move(end));
}

HttpInstance::Programs HttpInstance::programs() const {
  Programs all;
  const std::lock_guard lock(mutex_);
  for (const auto& [number, served] : served_) all.push_back(served.program);
  return all;
}

std::vector<host::ModelUse> HttpInstance::use_by_model() const {
  std::vector<host::ModelUse> sum;
  for (const auto& program : programs()) {
    const auto uses = program->use_by_model();
    sum.resize(std::max(sum.size(), uses.size()));
    for (size_t model = 0; model < uses.size(); ++model) sum[model] += uses[model];
  }
  return sum;
}

uint64_t HttpInstance::memory_bytes() const {
  uint64_t bytes = 0;
  for (const auto& program : programs()) bytes += program->memory_bytes();
  return bytes;
}

}  // namespace pie::instance
