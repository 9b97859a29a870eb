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

/// What an item of a list counts beside its bytes, where a list has a bound.
inline constexpr uint64_t kListItemBytes = 64;

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

/// The persistent key-value store of programs, per user. Thread-safe; nothing here blocks. `done`
/// comes once, from any thread, at once or later; a user's calls take effect in their order.
class KvsPort {
 public:
  template <class T>
  using Done = std::function<void(Result<T>)>;

  virtual ~KvsPort() = default;
  virtual void get(const std::string& user, std::string key,
                   Done<std::optional<std::string>> done) = 0;
  virtual void set(const std::string& user, std::string key, std::string value,
                   Done<void> done) = 0;
  /// A key that is not there is removed already.
  virtual void remove(const std::string& user, std::string key, Done<void> done) = 0;
  virtual void exists(const std::string& user, std::string key, Done<bool> done) = 0;
  /// kResourceExhausted when they are more than `bytes_max` bytes, kListItemBytes for each counted.
  virtual void list_keys(const std::string& user, uint64_t bytes_max,
                         Done<std::vector<std::string>> done) = 0;
};

/// Topics, per user. Thread-safe.
class BusPort {
 public:
  virtual ~BusPort() = default;
  /// One for all who get it.
  using Message = std::shared_ptr<const std::string>;
  using Deliver = std::function<void(const Message& message)>;  ///< quick; any thread
  virtual void broadcast(const std::string& user, const std::string& topic,
                         const Message& message) = 0;
  /// Every later broadcast of the user's topic is delivered until unsubscribe(token).
  /// kResourceExhausted when the topic has as many subscribers as one broadcast can reach.
  virtual Result<uint64_t> subscribe(const std::string& user, const std::string& topic,
                                     Deliver deliver) = 0;
  /// When it returns, `deliver` is not running and will not be called again.
  virtual void unsubscribe(uint64_t token) = 0;
};

}  // namespace pie::host
