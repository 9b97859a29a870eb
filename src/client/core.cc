#include "client/core.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstdlib>
#include <utility>

namespace pie::client {
namespace {

constexpr size_t kHashSliceBytes = 4u << 20;  ///< between two looks at the connection
constexpr size_t kQueueBytesMax = 2 * net::WsClient::kLowWaterBytes;

Error not_connected() {
  return {ErrorCode::kUnavailable, "the client is not connected: connect first"};
}

}  // namespace

Error refusal(std::string text, ErrorCode otherwise) {
  if (text.find("not found") != std::string::npos) otherwise = ErrorCode::kNotFound;
  if (text.find("not authorized") != std::string::npos ||
      text.find("ot authenticated") != std::string::npos) {
    otherwise = ErrorCode::kPermissionDenied;
  }
  return {otherwise, std::move(text)};
}

Core::Core(ClientOptions options) : options_(std::move(options)), work_(io_.get_executor()) {
  thread_ = std::thread([this] { io_.run(); });
}

Core::~Core() { PIE_CHECK(!thread_.joinable()); }

CallId Core::start(std::function<void(CallId)> task, std::function<void(Error)> refuse) {
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      const CallId call = next_call_++;
      boost::asio::post(io_, [task = std::move(task), call] { task(call); });
      return call;
    }
  }
  refuse(Error{ErrorCode::kUnavailable, "the client is closed"});
  return 0;
}

void Core::close() {
  end([this] {
    if (socket_ && !lost_) return socket_->close();
    lost(Error{ErrorCode::kUnavailable, "the client is closed"});
  });
}

void Core::drop() {
  end([this] {
    socket_.reset();
    lost(Error{ErrorCode::kUnavailable, "the client is closed"});
  });
}

void Core::end(std::function<void()> last_task) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    boost::asio::post(io_, [this, last_task = std::move(last_task)] {
      closing_ = true;
      last_task();
    });
  }
  if (thread_.get_id() == std::this_thread::get_id()) {
    // The last reference went in a `done`: another thread sees this one end.
    std::thread([self = shared_from_this()] {
      self->thread_.join();
      self->socket_.reset();
    }).detach();
    return;
  }
  thread_.join();
  socket_.reset();
}

void Core::connect(CallId call, Done<void> done) {
  if (socket_) {
    return done(Error{ErrorCode::kFailedPrecondition, "[connect] the client was connected before"});
  }
  Result<net::WsUrl> url = net::parse_ws_url(options_.uri);
  if (!url.ok()) return done(std::move(url).error());
  net::WsClient::Options options;
  options.connect_timeout = options_.connect_timeout;
  options.silence_timeout = options_.silence_timeout;
  options.ca_file = options_.ca_file;
  if (const char* file = std::getenv("PIE_CA_FILE"); file && options.ca_file.empty())
    options.ca_file = file;
  if (auto sound = net::WsClient::check(*url, options); !sound.ok())
    return done(std::move(sound).error());
  connect_call_ = call;
  connect_done_ = std::move(done);
  net::WsClient::Handlers handlers;
  handlers.on_open = [this] {
    open_ = true;
    if (const auto told = std::exchange(connect_done_, nullptr)) told({});
  };
  handlers.on_frame = [this](std::string_view frame) {
    Result<void> taken = session_.on_frame(frame);
    if (has_unconfirmed()) socket_->pause();
    return taken;
  };
  handlers.on_drained = [this] { pump_uploads(); };
  handlers.on_closed = [this](const Error& error) { lost(error); };
  socket_ = std::make_unique<net::WsClient>(io_, *url, options, std::move(handlers));
}

void Core::lost(const Error& error) {
  lost_ = true;
  if (const auto told = std::exchange(connect_done_, nullptr)) told(error);
  session_.on_lost(error);
  while (!uploads_.empty()) finish_upload(uploads_.begin()->first, error);
  // Timers of a connection that is gone may still run; nothing waits for them.
  if (closing_) io_.stop();
}

void Core::begin(CallId call, protocol::ClientSession::Opens opens, const Build& build,
                 protocol::ReplyHandler handler, protocol::ReplyHandler orphan) {
  if (!open_) return handler(not_connected());
  const uint32_t corr_id = session_.begin(
      opens, [this, call, handler = std::move(handler)](Result<protocol::Reply> reply) {
        calls_.erase(call);
        handler(std::move(reply));
      });
  if (corr_id == 0) return;
  calls_[call] = {corr_id, std::move(orphan)};
  socket_->send(protocol::encode(build(corr_id)));
}

void Core::request(CallId call, const Build& build, protocol::ReplyHandler handler) {
  begin(call, protocol::ClientSession::Opens::kNothing, build, std::move(handler),
        [](const Result<protocol::Reply>&) {});
}

void Core::request_instance(CallId call, const Build& build, protocol::ReplyHandler handler,
                            protocol::ReplyHandler orphan) {
  begin(call, protocol::ClientSession::Opens::kInstance, build, std::move(handler),
        std::move(orphan));
}

void Core::cancel(CallId call) {
  if (call == connect_call_ && connect_done_) {
    connect_done_ = nullptr;
    socket_->close();
    return;
  }
  if (const auto upload = uploads_.find(call); upload != uploads_.end()) {
    if (upload->second.sending) {
      session_.replace(upload->second.corr_id, [](const Result<protocol::Reply>&) {});
    }
    uploads_.erase(upload);
    return;
  }
  const auto found = calls_.find(call);
  if (found == calls_.end()) return;
  session_.replace(found->second.corr_id, std::move(found->second.orphan));
  calls_.erase(found);
}

Instance Core::open_instance(const std::string& id) {
  // Every sink that this class opens is a Inbox.
  auto inbox = std::static_pointer_cast<Inbox>(session_.sink_of(id));
  if (!inbox) inbox = std::make_shared<Inbox>();
  if (options_.confirms_events) watch(inbox);
  session_.open(id, inbox);
  return {id, std::move(inbox), shared_from_this()};
}

void Core::watch(const std::shared_ptr<Inbox>& inbox) {
  watched_.push_back(inbox);
  inbox->on_confirmed([weak = weak_from_this()] {
    const std::shared_ptr<Core> core = weak.lock();
    if (!core) return;
    core->start(
        [core = core.get()](CallId) {
          if (core->socket_ && !core->has_unconfirmed()) core->socket_->resume();
        },
        [](const Error&) {});
  });
}

bool Core::has_unconfirmed() {
  std::erase_if(watched_, [](const auto& one) { return one.expired(); });
  return std::ranges::any_of(watched_, [](const auto& one) {
    const std::shared_ptr<Inbox> inbox = one.lock();
    return inbox && !inbox->is_confirmed();
  });
}

void Core::park(const std::string& id) {
  auto inbox = std::make_shared<Inbox>();
  session_.open(id, inbox);
  parked_[id] = std::move(inbox);
}

std::optional<Instance> Core::open_parked(const std::string& id) {
  auto node = parked_.extract(id);
  if (node.empty()) return std::nullopt;
  return Instance(id, std::move(node.mapped()), shared_from_this());
}

void Core::terminate_unknown(const std::string& id) {
  const uint32_t corr_id = session_.begin(protocol::ClientSession::Opens::kNothing,
                                          [](const Result<protocol::Reply>&) {});
  if (corr_id != 0) {
    socket_->send(
        protocol::encode(protocol::ClientMessage(protocol::TerminateInstance{corr_id, id})));
  }
}

void Core::upload(CallId call, UploadSource source, BuildChunk build, Progress progress,
                  Done<std::string> done) {
  if (!open_) return done(not_connected());
  PendingUpload upload;
  upload.source = std::move(source);
  upload.build = std::move(build);
  upload.progress = std::move(progress);
  upload.done = std::move(done);
  uploads_.emplace(call, std::move(upload));
  hash_slice(call);
}

void Core::hash_slice(CallId call) {
  const auto found = uploads_.find(call);
  if (found == uploads_.end()) return;
  PendingUpload& upload = found->second;
  const uint64_t rest = upload.source.size_bytes - upload.offset;
  buffer_.resize(static_cast<size_t>(std::min<uint64_t>(rest, kHashSliceBytes)));
  if (Result<void> got = upload.source.read(upload.offset, buffer_); !got.ok()) {
    return finish_upload(call, std::move(got).error());
  }
  upload.blake3.update(buffer_);
  upload.offset += buffer_.size();
  if (upload.offset == upload.source.size_bytes) return begin_sending(call, upload);
  boost::asio::post(io_, [this, call] { hash_slice(call); });
}

void Core::begin_sending(CallId call, PendingUpload& upload) {
  upload.hash = upload.blake3.hex();
  upload.offset = 0;
  upload.sending = true;
  upload.corr_id = session_.begin(protocol::ClientSession::Opens::kNothing,
                                  [this, call](Result<protocol::Reply> reply) {
                                    const auto found = uploads_.find(call);
                                    if (found == uploads_.end()) return;
                                    if (!reply.ok())
                                      return finish_upload(call, std::move(reply).error());
                                    if (!reply->successful)
                                      return finish_upload(call, refusal(std::move(reply->text)));
                                    finish_upload(call, found->second.hash);
                                  });
  if (uploads_.contains(call)) pump_uploads();
}

void Core::pump_uploads() {
  bool any_sent = true;
  while (any_sent && socket_->queued_bytes() < kQueueBytesMax) {
    any_sent = false;
    for (auto next = uploads_.begin(); next != uploads_.end();) {
      const CallId call = next->first;
      PendingUpload& upload = next->second;
      ++next;  // finish_upload() removes this one
      if (!upload.sending || upload.sent_all) continue;
      any_sent = true;
      if (Result<void> sent = send_chunk(upload); !sent.ok()) {
        session_.replace(upload.corr_id, [](const Result<protocol::Reply>&) {});
        finish_upload(call, std::move(sent).error());
      }
    }
  }
}

Result<void> Core::send_chunk(PendingUpload& upload) {
  const uint64_t total = upload.source.size_bytes;
  protocol::Chunk chunk;
  chunk.index = static_cast<uint32_t>(upload.offset / protocol::kChunkBytesMax);
  chunk.total = static_cast<uint32_t>(protocol::chunk_count(total));
  chunk.data.resize(std::min<uint64_t>(total - upload.offset, protocol::kChunkBytesMax));
  PIE_TRY(upload.source.read(upload.offset, chunk.data));
  upload.offset += chunk.data.size();
  upload.sent_all = upload.offset == total;
  socket_->send(protocol::encode(upload.build(upload.corr_id, upload.hash, std::move(chunk))));
  if (upload.progress) upload.progress(upload.offset, total);
  return {};
}

void Core::finish_upload(CallId call, Result<std::string> result) {
  auto node = uploads_.extract(call);
  if (!node.empty()) node.mapped().done(std::move(result));
}

}  // namespace pie::client
