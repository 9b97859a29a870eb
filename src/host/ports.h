#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/blob.h"
#include "base/result.h"

namespace pie::host {

/// How an instance ended (protocol.md, section 7, "Ends").
enum class EndKind { kCompleted, kAborted, kException, kServerError, kOutOfResources };

struct End {
  EndKind kind = EndKind::kCompleted;
  std::string message;
};

/// What a running instance says to the outside; one object per instance, implemented by `server`.
/// Called from worker threads, one call at a time per instance (except on_writable's callback).
/// Nothing here may block.
class InstancePorts {
 public:
  virtual ~InstancePorts() = default;

  /// Bytes of stdout or stderr. Text is cut at character boundaries by the callee.
  virtual void write_stdout(std::string_view bytes) = 0;
  virtual void write_stderr(std::string_view bytes) = 0;
  virtual void send_message(std::string text) = 0;
  virtual void send_blob(std::vector<uint8_t> bytes) = 0;
  /// How many bytes of output the instance's log takes now; 0: the program's writes wait.
  virtual uint64_t writable_bytes() = 0;
  /// Calls `wake` once, from any thread, as soon as writable_bytes() is above 0.
  virtual void on_writable(std::function<void()> wake) = 0;
  /// The last call: the program has ended and what it held in engine and runtime is freed. Comes
  /// on an engine's thread: must be quick and must not call the engine back.
  virtual void on_end(End end) = 0;
};

/// The persistent key-value store of programs, per user. Thread-safe.
class KvsPort {
 public:
  virtual ~KvsPort() = default;
  virtual Result<std::optional<std::string>> get(const std::string& user,
                                                 const std::string& key) = 0;
  virtual Result<void> set(const std::string& user, const std::string& key,
                           const std::string& value) = 0;
  virtual Result<void> remove(const std::string& user, const std::string& key) = 0;
  virtual Result<bool> exists(const std::string& user, const std::string& key) = 0;
  virtual Result<std::vector<std::string>> list_keys(const std::string& user) = 0;
};

/// Topics, per user. Thread-safe.
class BusPort {
 public:
  virtual ~BusPort() = default;
  using Deliver = std::function<void(const std::string& message)>;  ///< quick; any thread
  virtual void broadcast(const std::string& user, const std::string& topic,
                         const std::string& message) = 0;
  /// Every later broadcast of the user's topic is delivered until unsubscribe(token).
  virtual uint64_t subscribe(const std::string& user, const std::string& topic,
                             Deliver deliver) = 0;
  /// When it returns, `deliver` is not running and will not be called again.
  virtual void unsubscribe(uint64_t token) = 0;
};

}  // namespace pie::host
