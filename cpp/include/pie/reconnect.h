#pragma once
/// A client that comes back after its connection was lost; as pie.ReconnectingClient of Python.
///
///   pie::ReconnectingClient client("ws://127.0.0.1:8080", "me");
///   pie::ReconnectingInstance instance =
///   client.launch_instance_from_registry("long-running-task"); for (const auto& [event, data] :
///   instance) ...
#include <pie/client.h>

namespace pie {

struct ReconnectOptions {
  ClientOptions client{};
  uint32_t attempts = 10;  ///< failed ones in a row until it gives up
  /// The waits between them are about 0.1 s, 0.2 s, ... up to this.
  std::chrono::milliseconds delay_max{5'000};
};

/// An instance whose events go on over lost connections. Copies are the same instance. Thread-safe.
class PIE_CLIENT_API ReconnectingInstance {
 public:
  using Iterator = EventIterator<ReconnectingInstance>;

  const std::string& id() const;
  const std::string& instance_id() const { return id(); }

  /// As Instance::send(). After a loss it is sent again, so it may arrive twice.
  void send(const std::string& message);
  /// As Instance::upload_blob(); after a loss as send().
  std::string upload_blob(std::string_view bytes, const Progress& progress = nullptr);
  std::string upload_blob_file(const std::filesystem::path& path,
                               const Progress& progress = nullptr);
  /// As Instance::recv(); `timeout` counts anew after a reconnection. No event is skipped; one
  /// whose delivery was not confirmed comes again. Throws PieError when the instance is gone,
  /// because its end was delivered or the server forgot it.
  Received recv(std::optional<std::chrono::milliseconds> timeout = std::nullopt);
  void terminate();

  Iterator begin() { return Iterator(this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  friend class ReconnectingClient;
  struct State;
  explicit ReconnectingInstance(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

/// Keeps a connection to a server; signs in again and attaches again when it is lost. Instances are
/// launched detached unless asked otherwise, so that nothing they say is lost while nobody is
/// connected. After `attempts` failures in a row a call throws ConnectionError; the next one tries
/// again. What is not a lost connection (a wrong key) is thrown at once. Thread-safe.
class PIE_CLIENT_API ReconnectingClient {
 public:
  /// Connects and signs in.
  ReconnectingClient(const std::string& server_uri, const std::string& username,
                     const std::optional<ParsedPrivateKey>& private_key = std::nullopt,
                     const ReconnectOptions& options = {});
  /// Closes.
  ~ReconnectingClient();
  ReconnectingClient(ReconnectingClient&&) noexcept;
  ReconnectingClient& operator=(ReconnectingClient&&) noexcept;

  /// Closes for good, from any thread: what waits ends with ConnectionError. Fine to repeat.
  void close();

  /// Not repeated when the connection is lost.
  ReconnectingInstance launch_instance(const std::string& program,
                                       std::vector<std::string> args = {}, bool detached = true);
  ReconnectingInstance launch_instance_from_registry(const std::string& name,
                                                     std::vector<std::string> args = {},
                                                     bool detached = true);
  ReconnectingInstance attach_instance(const std::string& instance_id);

  /// Does something else with the connected client: client.call([](pie::PieClient& c) { ... }).
  /// Once more after each loss, so it should be something that can be repeated; after `attempts`
  /// losses, which it may be the cause of, it throws ConnectionError.
  template <class Action>
  auto call(Action action) {
    using Value = std::decay_t<decltype(action(std::declval<PieClient&>()))>;
    if constexpr (std::is_void_v<Value>) {
      this->repeat([&action](PieClient& client) { action(client); });
    } else {
      std::optional<Value> value;
      this->repeat([&](PieClient& client) { value.emplace(action(client)); });
      return std::move(*value);
    }
  }

 private:
  friend class ReconnectingInstance;
  struct State;
  /// Until it is done over a connection that is not lost meanwhile.
  void repeat(const std::function<void(PieClient&)>& action);
  ReconnectingInstance opened(std::shared_ptr<PieClient> client, Instance instance);
  std::shared_ptr<State> state_;
};

}  // namespace pie
