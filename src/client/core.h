#pragma once
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "client/client.h"
#include "client/upload.h"
#include "crypto/blake3.h"
#include "net/ws_client.h"
#include "protocol/client_session.h"

namespace pie::client {

/// What the server refused, with a code made from its text.
Error refusal(std::string text, ErrorCode otherwise = ErrorCode::kInvalidArgument);

/// The client's thread and what lives on it: the connection, the session, the uploads. start() and
/// close() are for any thread; everything else runs on that thread, from tasks given to start().
/// Its owner calls close() before the last reference goes.
class Core : public std::enable_shared_from_this<Core> {
 public:
  /// Makes the message of a call, once its corr_id is known.
  using Build = std::function<protocol::ClientMessage(uint32_t corr_id)>;
  using BuildChunk = std::function<protocol::ClientMessage(
      uint32_t corr_id, const std::string& hash, protocol::Chunk chunk)>;

  explicit Core(ClientOptions options);
  ~Core();

  /// Runs `task` on the thread; after close(), `refuse` at once instead.
  CallId start(std::function<void(CallId)> task, std::function<void(Error)> refuse);
  void close();
  void drop();

  void connect(CallId call, Done<void> done);
  /// Sends a request. `orphan` takes its answer when the call was cancelled.
  void request(CallId call, const Build& build, protocol::ReplyHandler handler);
  /// The same for a call that opens an instance.
  void request_instance(CallId call, const Build& build, protocol::ReplyHandler handler,
                        protocol::ReplyHandler orphan);
  /// Hashes, then sends, chunk after chunk as the connection takes them. `done` gets the hash.
  void upload(CallId call, UploadSource source, BuildChunk build, Progress progress,
              Done<std::string> done);
  void cancel(CallId call);

  /// The instance with its events directed to it; its inbox is the one it has already, if any.
  Instance open_instance(const std::string& id);
  /// Keeps the events of an instance that nobody holds, for the next open_parked().
  void park(const std::string& id);
  std::optional<Instance> open_parked(const std::string& id);
  /// Ends an instance that nobody knows of.
  void terminate_unknown(const std::string& id);

 private:
  struct PendingCall {
    uint32_t corr_id;
    protocol::ReplyHandler orphan;
  };
  struct PendingUpload {
    UploadSource source;
    BuildChunk build;
    Progress progress;
    Done<std::string> done;
    crypto::Blake3 blake3;
    uint64_t offset = 0;
    bool sent_all = false;
    bool sending = false;
    std::string hash;
    uint32_t corr_id = 0;
  };

  void begin(CallId call, protocol::ClientSession::Opens opens, const Build& build,
             protocol::ReplyHandler handler, protocol::ReplyHandler orphan);
  void hash_slice(CallId call);
  void begin_sending(CallId call, PendingUpload& upload);
  void pump_uploads();
  /// Gives one chunk to the connection.
  Result<void> send_chunk(PendingUpload& upload);
  void finish_upload(CallId call, Result<std::string> result);
  void lost(const Error& error);
  /// Ends the thread after `last_task`, whose word it is.
  void end(std::function<void()> last_task);
  /// Takes part in ClientOptions::confirms_events.
  void watch(const std::shared_ptr<Inbox>& inbox);
  bool has_unconfirmed();

  const ClientOptions options_;
  std::mutex mutex_;  // guards closed_ and next_call_
  bool closed_ = false;
  CallId next_call_ = 1;

  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  // Of the thread only:
  bool closing_ = false;
  bool open_ = false;
  bool lost_ = false;  // for good: a client connects once
  Done<void> connect_done_;
  CallId connect_call_ = 0;
  protocol::ClientSession session_;
  std::unordered_map<CallId, PendingCall> calls_;
  std::map<CallId, PendingUpload> uploads_;
  std::map<std::string, std::shared_ptr<Inbox>> parked_;
  std::vector<std::weak_ptr<Inbox>> watched_;
  std::vector<uint8_t> buffer_;
  std::unique_ptr<net::WsClient> socket_;

  std::thread thread_;
};

}  // namespace pie::client
