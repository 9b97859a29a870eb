#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/instance.h"
#include "client/upload.h"
#include "crypto/private_key.h"
#include "protocol/messages.h"

namespace pie::client {

using InstanceInfo = protocol::LiveInstance;
using KeyRef = std::shared_ptr<const crypto::PrivateKey>;

struct ClientOptions {
  std::string uri;  ///< ws://HOST:PORT or wss://HOST:PORT
  std::chrono::milliseconds connect_timeout{10'000};
  /// A server that does not even answer a WebSocket ping for so long is taken for gone.
  std::chrono::milliseconds silence_timeout{30'000};
  /// PEM certificates that wss:// trusts besides the system's; "" = what PIE_CA_FILE names, if set.
  std::string ca_file;
  /// The server is told that events have arrived (by the pong of its ping) only once they were
  /// taken and Inbox::confirm() was called: who dies before then loses none. While events wait to
  /// be confirmed nothing is read from the connection, the answers of calls neither.
  bool confirms_events = false;
};

struct LaunchOptions {
  std::vector<std::string> arguments;
  /// Goes on when its client leaves, and keeps what it says for the next one that attaches.
  bool detached = false;
};

class Core;

/// A connection to a Pie server. Every call returns at once and ends by exactly one call of its
/// `done`, unless it is cancelled; when the connection is lost all of them end with kUnavailable.
/// Thread-safe.
///
/// What the server refuses is kPermissionDenied (not or wrongly authenticated), kNotFound, or
/// kInvalidArgument with the server's text.
class Client {
 public:
  explicit Client(ClientOptions options);
  /// As close().
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  CallId connect(Done<void> done);
  /// Says goodbye and ends the client's thread; what is in flight ends with kUnavailable. Blocks
  /// for a second at most (in a `done` not at all). Later calls fail at once.
  void close();

  /// Breaks the connection off without a word: what the server does not know to have arrived it
  /// keeps. Otherwise as close().
  void drop();

  /// `key` may be null: a server that has authentication off asks for none.
  CallId authenticate(std::string username, KeyRef key, Done<void> done);
  CallId internal_authenticate(std::string token, Done<void> done);

  /// `done` gets the program's hash.
  CallId upload_program(UploadSource source, std::optional<std::string> manifest, Progress progress,
                        Done<std::string> done);
  /// `record`: a hash, ns/name@version, or that with #<wasm hash>+<manifest hash>.
  CallId program_exists(std::string record, Done<bool> done);

  /// `program`: a hash or a name.
  CallId launch(std::string program, LaunchOptions options, Done<Instance> done);
  CallId launch_from_registry(std::string name, LaunchOptions options, Done<Instance> done);
  /// Serves an HTTP program on the server machine's 127.0.0.1:`port`; done when it is bound.
  CallId launch_server(uint16_t port, std::string program, std::vector<std::string> arguments,
                       Done<void> done);
  CallId attach(std::string instance_id, Done<Instance> done);
  CallId terminate(std::string instance_id, Done<void> done);

  CallId list_instances(Done<std::vector<InstanceInfo>> done);
  CallId ping(Done<void> done);
  CallId query(std::string subject, std::string record, Done<std::string> done);

  /// Stops waiting for a call; its `done` is not called any more (unless it is just being called).
  /// A launch that succeeds all the same is terminated, since nobody knows its instance.
  void cancel(CallId call);

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace pie::client
