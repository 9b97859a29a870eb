#include "server/event_messages.h"

#include <algorithm>

#include "base/utf8.h"
#include "crypto/blake3.h"
#include "protocol/chunks.h"

namespace pie::server {
namespace {

using protocol::ServerMessage;
using Stream = protocol::StreamingOutput::Stream;

constexpr size_t kOutputBytesMax = 1U << 20;

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

std::vector<ServerMessage> output_messages(const std::string& instance_id, Stream stream,
                                           std::string_view text) {
  std::vector<ServerMessage> frames;
  do {
    std::string_view part = text.substr(0, kOutputBytesMax);
    if (part.size() < text.size()) part.remove_suffix(utf8_incomplete_suffix(part));
    frames.push_back(protocol::StreamingOutput{instance_id, stream, std::string(part)});
    text.remove_prefix(part.size());
  } while (!text.empty());
  return frames;
}

}  // namespace

std::vector<ServerMessage> event_messages(const std::string& instance_id,
                                          const instance::Event& event) {
  const std::string& payload = *event.payload;
  const auto text = [&] { return shortened(to_utf8(payload), kEventTextBytesMax); };
  switch (event.kind) {
    case EventKind::kStdout: return output_messages(instance_id, Stream::kStdout, payload);
    case EventKind::kStderr: return output_messages(instance_id, Stream::kStderr, payload);
    case EventKind::kMessage:
      return {protocol::InstanceEvent{instance_id, protocol::EventCode::kMessage, text()}};
    case EventKind::kBlob: return blob_messages(instance_id, payload);
    case EventKind::kEnd:
      return {protocol::InstanceEvent{instance_id, static_cast<protocol::EventCode>(event.end),
                                      text()}};
  }
  return {};
}

}  // namespace pie::server
