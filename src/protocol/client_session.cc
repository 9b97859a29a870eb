#include "protocol/client_session.h"

#include <fmt/format.h>

namespace pie::protocol {
namespace {

/// What a kept event costs.
uint64_t kept_bytes(const Result<ClientEvent>& event) {
  return sizeof(event) + (event.ok() ? event->data.size() : event.error().message.size());
}

}  // namespace

uint32_t ClientSession::begin(Opens opens, ReplyHandler handler) {
  if (lost_) {
    handler(*lost_);
    return 0;
  }
  // 0 is what download_blob carries; an id whose call still waits after a whole round is skipped.
  while (next_corr_id_ == 0 || pending_.contains(next_corr_id_)) ++next_corr_id_;
  const uint32_t corr_id = next_corr_id_++;
  if (opens == Opens::kInstance) ++opening_count_;
  pending_.emplace(corr_id, Pending{opens, std::move(handler)});
  return corr_id;
}

bool ClientSession::replace(uint32_t corr_id, ReplyHandler handler) {
  const auto found = pending_.find(corr_id);
  if (found == pending_.end()) return false;
  found->second.handler = std::move(handler);
  return true;
}

void ClientSession::open(const std::string& instance_id, std::weak_ptr<EventSink> sink) {
  if (lost_) {
    if (const std::shared_ptr<EventSink> held = sink.lock()) held->on_lost(*lost_);
    return;
  }
  sinks_[instance_id] = std::move(sink);
  const auto found = early_.find(instance_id);
  if (found == early_.end()) return;
  std::vector<Result<ClientEvent>> events = std::move(found->second);
  early_.erase(found);
  for (const Result<ClientEvent>& event : events) early_bytes_ -= kept_bytes(event);
  for (Result<ClientEvent>& event : events) route(instance_id, std::move(event));
}

std::shared_ptr<EventSink> ClientSession::sink_of(const std::string& instance_id) const {
  const auto found = sinks_.find(instance_id);
  return found == sinks_.end() ? nullptr : found->second.lock();
}

Result<void> ClientSession::on_frame(std::string_view frame) {
  DecodedServerMessage decoded = decode_server_message(frame, limits_.frame);
  if (const auto* bad = std::get_if<DecodeError>(&decoded)) {
    return Error{ErrorCode::kCorrupt, "the server broke the protocol: " + bad->error.message};
  }
  struct Visitor {
    ClientSession& self;
    void operator()(Response& m) {
      self.answer(m.corr_id, {m.successful, std::move(m.result), {}});
    }
    void operator()(InstanceLaunchResult& m) {
      self.answer(m.corr_id, {m.successful, std::move(m.message), {}});
    }
    void operator()(InstanceAttachResult& m) {
      self.answer(m.corr_id, {m.successful, std::move(m.message), {}});
    }
    void operator()(LiveInstances& m) {
      self.answer(m.corr_id, {true, {}, std::move(m.instances)});
    }
    void operator()(InstanceEvent& m) {
      self.route(m.instance_id, ClientEvent{m.event, std::move(m.message)});
    }
    void operator()(StreamingOutput& m) {
      const bool is_stdout = m.stream == StreamingOutput::Stream::kStdout;
      self.route(m.instance_id, ClientEvent{is_stdout ? EventCode::kStdout : EventCode::kStderr,
                                            std::move(m.text)});
    }
    void operator()(DownloadBlob& m) { self.receive_chunk(std::move(m)); }
    void operator()(ServerEvent&) {}
  };
  std::visit(Visitor{*this}, std::get<ServerMessage>(decoded));
  if (early_bytes_ > limits_.early_bytes_max) {
    return Error{
        ErrorCode::kResourceExhausted,
        fmt::format("[events before the answer to a launch] got {} bytes, expected at most "
                    "{}: attach to instances that have said much by a connection of their own",
                    early_bytes_, limits_.early_bytes_max)};
  }
  return {};
}

void ClientSession::answer(uint32_t corr_id, Reply reply) {
  auto node = pending_.extract(corr_id);
  if (node.empty()) return;  // an answer to a signal that asked for none, or a repeated one
  // The handler opens the instance that the answer names; only then may kept events be dropped.
  node.mapped().handler(std::move(reply));
  if (node.mapped().opens == Opens::kInstance && --opening_count_ == 0) {
    early_.clear();
    early_bytes_ = 0;
  }
}

void ClientSession::route(const std::string& instance_id, Result<ClientEvent> event) {
  const bool is_last = event.ok() && is_final(event->code);
  if (const auto found = sinks_.find(instance_id); found != sinks_.end()) {
    const std::shared_ptr<EventSink> sink = found->second.lock();
    if (is_last || !sink) sinks_.erase(found);
    if (sink) {
      sink->on_event(std::move(event));
      return;
    }
  }
  if (opening_count_ == 0) return;
  early_bytes_ += kept_bytes(event);
  early_[instance_id].push_back(std::move(event));
}

void ClientSession::receive_chunk(DownloadBlob&& message) {
  const auto key = std::make_pair(message.instance_id, message.blob_hash);
  auto found = downloads_.find(key);
  if (found == downloads_.end()) {
    ChunkReceiver receiver(message.blob_hash, limits_.blob_bytes_max);
    found = downloads_.emplace(key, Download{std::move(receiver), {}}).first;
  }
  Download& download = found->second;
  switch (download.receiver.accept(message.chunk)) {
    case ChunkReceiver::Step::kStore:
      download.bytes.append(message.chunk.data.begin(), message.chunk.data.end());
      return;
    case ChunkReceiver::Step::kComplete: {
      download.bytes.append(message.chunk.data.begin(), message.chunk.data.end());
      ClientEvent event{EventCode::kBlob, std::move(download.bytes)};
      downloads_.erase(found);
      route(message.instance_id, std::move(event));
      return;
    }
    case ChunkReceiver::Step::kDiscard: std::string().swap(download.bytes); return;
    case ChunkReceiver::Step::kFailed: {
      Error error{ErrorCode::kCorrupt,
                  fmt::format("blob {} of instance {}: {}", message.blob_hash, message.instance_id,
                              download.receiver.error().message)};
      downloads_.erase(found);
      route(message.instance_id, std::move(error));
      return;
    }
  }
}

void ClientSession::on_lost(const Error& error) {
  if (lost_) return;
  lost_ = error;
  auto pending = std::exchange(pending_, {});
  auto sinks = std::exchange(sinks_, {});
  opening_count_ = 0;
  early_.clear();
  downloads_.clear();
  for (auto& [corr_id, call] : pending) call.handler(error);
  for (auto& [instance_id, weak] : sinks) {
    if (const std::shared_ptr<EventSink> sink = weak.lock()) sink->on_lost(error);
  }
}

}  // namespace pie::protocol
