#include "net/listener.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <exception>
#include <utility>

#include "base/log.h"
#include "net/ip_address.h"
#include "net/tls.h"
#include "net/tls_accept.h"

namespace pie::net {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr uint64_t kPauseMs = 50;  ///< when nothing can be accepted

}  // namespace

Listener::Listener(IoThreads& threads, const ListenerConfig& config, MakeConnection make)
    : config_(config),
      make_(std::move(make)),
      unknown_(config.unknown_per_address_max),
      io_(threads.impl().io),
      acceptor_(asio::make_strand(io_)),
      changed_(acceptor_.get_executor()),
      drained_(acceptor_.get_executor()) {}

Result<std::shared_ptr<Listener>> Listener::open(IoThreads& threads, const ListenerConfig& config,
                                                 MakeConnection make) {
  auto listener = std::make_shared<Listener>(threads, config, std::move(make));
  if (!config.tls_certificate.empty() || !config.tls_key.empty()) {
    PIE_TRY_ASSIGN(listener->tls_, server_tls(config.tls_certificate, config.tls_key));
  }
  PIE_TRY(listener->bind());
  asio::co_spawn(listener->acceptor_.get_executor(), accept_loop(listener), asio::detached);
  return listener;
}

Result<void> Listener::bind() {
  const std::string host(without_brackets(config_.host));
  error_code failed;
  asio::ip::tcp::resolver resolver(io_);
  const auto found = resolver.resolve(host, std::to_string(config_.port), failed);
  if (!failed) {
    const asio::ip::tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), failed);
    if (!failed) acceptor_.set_option(asio::socket_base::reuse_address(true), failed);
    if (!failed) acceptor_.bind(endpoint, failed);
    if (!failed) acceptor_.listen(asio::socket_base::max_listen_connections, failed);
  }
  if (failed)
    return Error{ErrorCode::kUnavailable,
                 "[listen on " + config_.host + ":" + std::to_string(config_.port) +
                     "] got: " + failed.message() + ", expected a free port; choose another"};
  port_ = acceptor_.local_endpoint().port();
  return {};
}

void Listener::stop(uint64_t drain_ms_max, std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
    when_stopped_.push_back(std::move(done));
  }
  asio::post(acceptor_.get_executor(), [self = shared_from_this(), drain_ms_max] {
    error_code ignored;
    self->acceptor_.close(ignored);
    self->changed_.set();
    self->end_all(drain_ms_max > 0 ? Ending::kShutDown : Ending::kDrop);
    if (drain_ms_max > 0)
      self->drained_.arm(drain_ms_max, [self] { self->end_all(Ending::kDrop); });
    self->tell_if_stopped();
  });
}

asio::awaitable<void> Listener::accept_loop(std::shared_ptr<Listener> self) {
  while (!self->is_stopped()) {
    std::string fault;  // out of descriptors or memory, or a client that left at once
    try {
      fault = co_await self->accept_one();
    } catch (const std::exception& failure) {
      fault = failure.what();
    }
    if (fault.empty() || self->is_stopped()) continue;
    log::warning("accept: {}", fault);
    error_code ignored;
    asio::steady_timer pause(self->acceptor_.get_executor(), std::chrono::milliseconds(kPauseMs));
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  {
    const std::lock_guard lock(self->mutex_);
    self->is_accepting_ = false;
  }
  self->tell_if_stopped();
}

asio::awaitable<std::string> Listener::accept_one() {
  if (is_full()) {
    co_await changed_.wait();
    co_return "";
  }
  error_code failed;
  auto socket = co_await acceptor_.async_accept(asio::make_strand(io_),
                                                asio::redirect_error(asio::use_awaitable, failed));
  if (failed) co_return failed.message();
  if (!is_stopped()) serve(std::move(socket));
  co_return "";
}

void Listener::serve(asio::ip::tcp::socket socket) {
  error_code ignored;
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  Accepted accepted{Transport(std::move(socket)), {}, nullptr, std::chrono::steady_clock::now()};
  accepted.peer_address = accepted.transport.peer_address();
  accepted.place = unknown_.enter(accepted.peer_address);
  if (!accepted.place) return;  // its destructor drops it
  auto slot = std::make_shared<Slot>(Slot{accepted.transport.get_executor(), nullptr});
  {
    const std::lock_guard lock(mutex_);
    slots_.insert(slot);
  }
  try {
    asio::co_spawn(slot->executor, run(shared_from_this(), slot, std::move(accepted)),
                   [self = shared_from_this(), slot](const std::exception_ptr& failure) {
                     if (failure && slot->current) slot->current->drop();
                     slot->current = nullptr;
                     self->forget(slot);
                   });
  } catch (...) {
    forget(slot);
    throw;
  }
}

asio::awaitable<void> Listener::run(std::shared_ptr<Listener> self, SlotRef slot,
                                    Accepted accepted) {
  std::shared_ptr<ServedConnection> next =
      self->tls_
          ? accept_tls(std::move(accepted), *self->tls_, self->config_.tls_ms_max, self->make_)
          : self->make_(std::move(accepted));
  while (next) {
    slot->current = std::move(next);
    end(slot, slot->ending);
    next = co_await slot->current->run();
  }
}

/// On the slot's strand.
void Listener::end(const SlotRef& slot, Ending ending) {
  slot->ending = ending;
  if (!slot->current || ending == Ending::kNo) return;
  if (ending == Ending::kDrop) return slot->current->drop();
  slot->current->shut_down();
}

void Listener::end_all(Ending ending) {
  const std::lock_guard lock(mutex_);
  for (const SlotRef& slot : slots_)
    asio::post(slot->executor, [slot, ending] { end(slot, ending); });
}

void Listener::forget(const SlotRef& slot) {
  {
    const std::lock_guard lock(mutex_);
    slots_.erase(slot);
  }
  asio::post(acceptor_.get_executor(), [self = shared_from_this()] {
    self->changed_.set();
    self->tell_if_stopped();
  });
}

void Listener::tell_if_stopped() {
  std::vector<std::function<void()>> told;
  {
    const std::lock_guard lock(mutex_);
    if (!is_stopped_ || is_accepting_ || !slots_.empty()) return;
    told.swap(when_stopped_);
  }
  drained_.disarm();
  for (const auto& done : told)
    if (done) done();
}

bool Listener::is_full() {
  const std::lock_guard lock(mutex_);
  return slots_.size() >= config_.connections_max;
}

bool Listener::is_stopped() {
  const std::lock_guard lock(mutex_);
  return is_stopped_;
}

}  // namespace pie::net
