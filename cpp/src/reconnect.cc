#include "pie/reconnect.h"

#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>

#include "call.h"
#include "client/recovery.h"

namespace pie {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using ClientRef = std::shared_ptr<PieClient>;

Error loss(const ConnectionError& error) { return {ErrorCode::kUnavailable, error.what()}; }

milliseconds since(Clock::time_point began) {
  return std::chrono::duration_cast<milliseconds>(Clock::now() - began);
}

/// A detached instance with its events coming here: it is attached to.
Instance heard(PieClient& client, Instance launched) {
  try {
    return client.attach_instance(launched.id());
  } catch (const ConnectionError&) {
    return launched;  // recv() will find out and attach again
  }
}

}  // namespace

struct ReconnectingClient::State {
  const std::string uri;
  const std::string username;
  const std::optional<ParsedPrivateKey> key;
  const ReconnectOptions options;
  const client::ReconnectOptions rules;

  std::mutex connecting;  ///< held while somebody connects: the others wait for the outcome
  std::mutex mutex;       ///< of what follows
  ClientRef client;
  bool is_closed = false;
  std::condition_variable_any closing;

  void close() {
    ClientRef last;
    {
      const std::lock_guard lock(mutex);
      is_closed = true;
      last = std::exchange(client, nullptr);
    }
    closing.notify_all();
    if (last) last->close();
  }

  ClientRef current() {
    const std::lock_guard lock(mutex);
    if (is_closed) throw ConnectionError("the client is closed");
    return client;
  }

  ClientRef dial() const {
    auto fresh = std::make_shared<PieClient>(uri, options.client);
    fresh->authenticate(username, key);
    return fresh;
  }

  /// Takes the new connection, unless close() came first.
  ClientRef adopt(ClientRef fresh) {
    const std::lock_guard lock(mutex);
    if (is_closed) throw ConnectionError("the client is closed");
    return client = std::move(fresh);
  }

  /// Throws when nothing is to be waited for, and when it is closed or cancelled meanwhile.
  void pause(const Result<milliseconds>& delay) {
    if (!delay.ok()) raise(delay.error());
    const std::stop_token token = current_stop_token();
    std::unique_lock lock(mutex);
    closing.wait_for(lock, token, *delay, [this] { return is_closed; });
    if (is_closed) throw ConnectionError("the client is closed");
    if (token.stop_requested()) throw CancelledError("the reconnection was cancelled");
  }

  /// A client that is connected and is not `lost`.
  ClientRef connected(const ClientRef& lost) {
    const std::lock_guard only_one(connecting);
    if (ClientRef now = current(); now && now != lost) return now;
    if (lost) lost->close();
    for (client::ConnectAttempts attempts(rules);;) {
      try {
        return adopt(dial());
      } catch (const ConnectionError& error) {
        pause(attempts.failed(loss(error)));
      }
    }
  }
};

struct ReconnectingInstance::State {
  const std::shared_ptr<ReconnectingClient::State> owner;
  const std::string id;
  std::mutex attaching;
  std::mutex mutex;  ///< of what follows
  ClientRef client;
  Instance instance;

  std::pair<ClientRef, Instance> current() {
    const std::lock_guard lock(mutex);
    return {client, instance};
  }

  void attach_again(ClientRef lost, client::CallLosses& losses) {
    const std::lock_guard only_one(attaching);
    while (current().first == lost) {
      ClientRef fresh = owner->connected(lost);
      const auto began = Clock::now();
      try {
        Instance attached = fresh->attach_instance(id);
        const std::lock_guard lock(mutex);
        client = std::move(fresh);
        instance = std::move(attached);
        return;
      } catch (const ConnectionError& error) {
        owner->pause(losses.lost(loss(error), since(began)));
        const std::lock_guard lock(mutex);
        client = lost = std::move(fresh);
      } catch (const NotFoundError&) {
        raise(client::instance_gone(id));
      }
    }
  }

  using Kind = client::CallLosses::Kind;

  template <class Action>
  auto keep_on(Action action, Kind kind = Kind::kActs) {
    for (client::CallLosses losses(owner->rules, kind);;) {
      const auto began = Clock::now();
      auto [with, now] = current();
      try {
        return action(now);
      } catch (const ConnectionError& error) {
        owner->pause(losses.lost(loss(error), since(began)));
        attach_again(with, losses);
      }
    }
  }
};

ReconnectingInstance::ReconnectingInstance(std::shared_ptr<State> state)
    : state_(std::move(state)) {}

const std::string& ReconnectingInstance::id() const { return state_->id; }

void ReconnectingInstance::send(const std::string& message) {
  state_->keep_on([&](Instance& instance) { instance.send(message); });
}

std::string ReconnectingInstance::upload_blob(std::string_view bytes, const Progress& progress) {
  return state_->keep_on([&](Instance& instance) { return instance.upload_blob(bytes, progress); });
}

std::string ReconnectingInstance::upload_blob_file(const std::filesystem::path& path,
                                                   const Progress& progress) {
  return state_->keep_on(
      [&](Instance& instance) { return instance.upload_blob_file(path, progress); });
}

Received ReconnectingInstance::recv(std::optional<milliseconds> timeout) {
  return state_->keep_on([&](Instance& instance) { return instance.recv(timeout); },
                         State::Kind::kWaits);
}

void ReconnectingInstance::terminate() {
  state_->keep_on([](Instance& instance) { instance.terminate(); });
}

ReconnectingClient::ReconnectingClient(const std::string& server_uri, const std::string& username,
                                       const std::optional<ParsedPrivateKey>& private_key,
                                       const ReconnectOptions& options)
    : state_(new State{
          server_uri, username, private_key, options, {options.attempts, options.delay_max}}) {
  state_->connected(nullptr);
}

ReconnectingClient::~ReconnectingClient() {
  if (state_) state_->close();
}
ReconnectingClient::ReconnectingClient(ReconnectingClient&&) noexcept = default;
ReconnectingClient& ReconnectingClient::operator=(ReconnectingClient&& other) noexcept {
  if (state_ && state_ != other.state_) state_->close();
  state_ = std::move(other.state_);
  return *this;
}

void ReconnectingClient::close() { state_->close(); }

void ReconnectingClient::repeat(const std::function<void(PieClient&)>& action) {
  ClientRef client = state_->connected(nullptr);
  for (client::CallLosses losses(state_->rules, client::CallLosses::Kind::kActs);;) {
    const auto began = Clock::now();
    try {
      return action(*client);
    } catch (const ConnectionError& error) {
      state_->pause(losses.lost(loss(error), since(began)));
      client = state_->connected(client);
    }
  }
}

ReconnectingInstance ReconnectingClient::opened(ClientRef client, Instance instance) {
  std::string id = instance.id();
  return ReconnectingInstance(
      std::shared_ptr<ReconnectingInstance::State>(new ReconnectingInstance::State{
          state_, std::move(id), {}, {}, std::move(client), std::move(instance)}));
}

ReconnectingInstance ReconnectingClient::launch_instance(const std::string& program,
                                                         std::vector<std::string> args,
                                                         bool detached) {
  ClientRef client = state_->connected(nullptr);
  Instance launched = client->launch_instance(program, std::move(args), detached);
  if (detached) launched = heard(*client, std::move(launched));
  return opened(std::move(client), std::move(launched));
}

ReconnectingInstance ReconnectingClient::launch_instance_from_registry(
    const std::string& name, std::vector<std::string> args, bool detached) {
  ClientRef client = state_->connected(nullptr);
  Instance launched = client->launch_instance_from_registry(name, std::move(args), detached);
  if (detached) launched = heard(*client, std::move(launched));
  return opened(std::move(client), std::move(launched));
}

ReconnectingInstance ReconnectingClient::attach_instance(const std::string& instance_id) {
  ClientRef client = state_->connected(nullptr);
  Instance attached = client->attach_instance(instance_id);
  return opened(std::move(client), std::move(attached));
}

}  // namespace pie
