#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "protocol/chunks.h"
#include "protocol/codec.h"
#include "protocol/messages.h"

namespace pie::protocol {

/// What an instance told its client.
struct ClientEvent {
  EventCode code = EventCode::kMessage;
  std::string data;  ///< text, or a blob's bytes
  bool operator==(const ClientEvent&) const = default;
};

/// Takes the events of one instance, in order. Called by the thread that drives the session.
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// An event; or the error of one that did not arrive whole (a blob with a wrong hash).
  virtual void on_event(Result<ClientEvent> event) = 0;
  /// The connection is gone; no more events come.
  virtual void on_lost(const Error& error) = 0;
};

/// The answer to a call, whatever type it travelled in.
struct Reply {
  bool successful = false;
  std::string text;
  std::vector<LiveInstance> instances;  ///< of list_instances
};
using ReplyHandler = std::function<void(Result<Reply>)>;

struct ClientSessionLimits {
  DecodeLimits frame{.frame_bytes_max = 64u << 20, .array_items_max = 1u << 20};
  uint64_t blob_bytes_max = 1u << 30;  ///< one blob from an instance
  /// Events kept for launches that are not answered yet; more is an error of on_frame().
  uint64_t early_bytes_max = 256u << 20;
};

/// The client's side of one connection, without the connection: which calls wait for an answer, and
/// which instance's events go where. Bytes come in by on_frame() and its loss by on_lost(); what is
/// to be sent the caller encodes itself, with the corr_id that begin() gave it.
/// Handlers and sinks may call back into the session. Not thread-safe: one thread drives it.
class ClientSession {
 public:
  /// What kind of call it is: while one that opens an instance is pending, events of instances that
  /// nobody knows yet are kept for it.
  enum class Opens { kNothing, kInstance };

  ClientSession() = default;
  explicit ClientSession(const ClientSessionLimits& limits) : limits_(limits) {}

  /// Registers a call and returns its corr_id. `handler` is called exactly once: with the answer or
  /// with the connection's loss (at once, when it is lost already; then the id is of no use).
  uint32_t begin(Opens opens, ReplyHandler handler);

  /// Replaces the handler of a pending call (a caller that stopped waiting). False when the call
  /// was answered before.
  bool replace(uint32_t corr_id, ReplyHandler handler);

  /// Sends the instance's events to `sink` from now on, the kept ones at once. A sink that is gone
  /// gets none: its events are dropped.
  void open(const std::string& instance_id, std::weak_ptr<EventSink> sink);
  /// The sink that the instance's events go to, if any.
  std::shared_ptr<EventSink> sink_of(const std::string& instance_id) const;

  /// One binary frame. An error means that the server broke the protocol: the caller closes the
  /// connection and reports its loss.
  Result<void> on_frame(std::string_view frame);

  /// Fails every pending call and every sink with `error`; so do calls begun later.
  void on_lost(const Error& error);

  size_t pending_count() const { return pending_.size(); }

 private:
  struct Pending {
    Opens opens;
    ReplyHandler handler;
  };
  struct Download {
    ChunkReceiver receiver;
    std::string bytes;
  };

  void answer(uint32_t corr_id, Reply reply);
  void route(const std::string& instance_id, Result<ClientEvent> event);
  void receive_chunk(DownloadBlob&& message);

  ClientSessionLimits limits_;
  uint32_t next_corr_id_ = 1;
  std::unordered_map<uint32_t, Pending> pending_;
  size_t opening_count_ = 0;
  std::unordered_map<std::string, std::weak_ptr<EventSink>> sinks_;
  std::unordered_map<std::string, std::vector<Result<ClientEvent>>> early_;
  uint64_t early_bytes_ = 0;
  std::map<std::pair<std::string, std::string>, Download> downloads_;
  std::optional<Error> lost_;
};

}  // namespace pie::protocol
