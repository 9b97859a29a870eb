#include "server/event_messages.h"

#include <algorithm>

#include "base/utf8.h"
#include "crypto/blake3.h"
#include "protocol/chunks.h"

namespace pie::server {
namespace {

using protocol::ServerMessage;

std::vector<ServerMessage> blob_messages(const std::string& instance_id, const std::string& bytes) {
  std::vector<ServerMessage> chunks;
  const std::string hash = crypto::blake3_hex(bytes);
  const auto total = static_cast<uint32_t>(protocol::chunk_count(bytes.size()));
  for (uint32_t i = 0; i < total; ++i) {
    const size_t from = i * protocol::kChunkBytesMax;
    const size_t to = std::min(bytes.size(), from + protocol::kChunkBytesMax);
    protocol::Bytes data(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                         bytes.begin() + static_cast<std::ptrdiff_t>(to));
    chunks.push_back(protocol::DownloadBlob{instance_id, hash, {i, total, std::move(data)}});
  }
  return chunks;
}

}  // namespace

std::vector<ServerMessage> event_messages(const std::string& instance_id,
                                          const instance::Event& event) {
  const std::string& payload = *event.payload;
  switch (event.kind) {
    case instance::EventKind::kStdout:
      return {protocol::StreamingOutput{instance_id, protocol::StreamingOutput::Stream::kStdout,
                                        payload}};
    case instance::EventKind::kStderr:
      return {protocol::StreamingOutput{instance_id, protocol::StreamingOutput::Stream::kStderr,
                                        payload}};
    case instance::EventKind::kMessage:
      return {
          protocol::InstanceEvent{instance_id, protocol::EventCode::kMessage, to_utf8(payload)}};
    case instance::EventKind::kBlob: return blob_messages(instance_id, payload);
    case instance::EventKind::kEnd:
      return {protocol::InstanceEvent{instance_id, static_cast<protocol::EventCode>(event.end),
                                      to_utf8(payload)}};
  }
  return {};
}

}  // namespace pie::server
