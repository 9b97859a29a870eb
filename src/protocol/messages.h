#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// Every message of the client protocol, as plain values. One struct per `type` of the wire; the
/// bytes are the codec's business (protocol/codec.h). Fields that only some protocol windows send
/// are optional here, so that one server serves all of them.
namespace pie::protocol {

using Bytes = std::vector<uint8_t>;

/// One piece of a program or blob; see protocol/chunks.h for the rules.
struct Chunk {
  uint32_t index = 0;
  uint32_t total = 1;
  Bytes data;
  bool operator==(const Chunk&) const = default;
};

/// A program as a client names it: by hash (`program_hash`, or 64 lower-case hex digits in
/// `inferlet`) or by name (`name`, `ns/name`, `ns/name@version`).
struct ProgramRef {
  enum class Kind { kHash, kName };
  Kind kind = Kind::kName;
  std::string text;
  bool operator==(const ProgramRef&) const = default;
};

// ---- client to server ---------------------------------------------------------------------------

struct Identification {
  static constexpr std::string_view kType = "identification";
  uint32_t corr_id = 0;
  std::string username;
  bool operator==(const Identification&) const = default;
};

struct Signature {
  static constexpr std::string_view kType = "signature";
  uint32_t corr_id = 0;
  std::string signature;  ///< base64
  bool operator==(const Signature&) const = default;
};

struct InternalAuthenticate {
  static constexpr std::string_view kType = "internal_authenticate";
  uint32_t corr_id = 0;
  std::string token;
  bool operator==(const InternalAuthenticate&) const = default;
};

struct Query {
  static constexpr std::string_view kType = "query";
  uint32_t corr_id = 0;
  std::string subject;
  std::string record;
  bool operator==(const Query&) const = default;
};

struct UploadProgram {
  static constexpr std::string_view kType = "upload_program";
  uint32_t corr_id = 0;
  std::string program_hash;
  Chunk chunk;
  std::optional<std::string> manifest;  ///< TOML text, repeated in every chunk; W3 and W4
  bool operator==(const UploadProgram&) const = default;
};

struct LaunchInstance {
  static constexpr std::string_view kType = "launch_instance";
  uint32_t corr_id = 0;
  ProgramRef program;
  std::vector<std::string> arguments;
  bool detached = false;
  std::optional<std::string> cmd_name;  ///< W1; ignored by the server
  bool operator==(const LaunchInstance&) const = default;
};

struct LaunchInstanceFromRegistry {
  static constexpr std::string_view kType = "launch_instance_from_registry";
  uint32_t corr_id = 0;
  std::string inferlet;
  std::vector<std::string> arguments;
  bool detached = false;
  bool operator==(const LaunchInstanceFromRegistry&) const = default;
};

struct LaunchServerInstance {
  static constexpr std::string_view kType = "launch_server_instance";
  uint32_t corr_id = 0;
  uint32_t port = 0;
  ProgramRef program;
  std::vector<std::string> arguments;
  std::optional<std::string> cmd_name;  ///< W1; ignored by the server
  bool operator==(const LaunchServerInstance&) const = default;
};

struct AttachInstance {
  static constexpr std::string_view kType = "attach_instance";
  uint32_t corr_id = 0;
  std::string instance_id;
  bool operator==(const AttachInstance&) const = default;
};

struct SignalInstance {
  static constexpr std::string_view kType = "signal_instance";
  std::optional<uint32_t> corr_id;  ///< answered only when present
  std::string instance_id;
  std::string message;
  bool operator==(const SignalInstance&) const = default;
};

struct UploadBlob {
  static constexpr std::string_view kType = "upload_blob";
  uint32_t corr_id = 0;
  std::string instance_id;
  std::string blob_hash;
  Chunk chunk;
  bool operator==(const UploadBlob&) const = default;
};

struct TerminateInstance {
  static constexpr std::string_view kType = "terminate_instance";
  uint32_t corr_id = 0;
  std::string instance_id;
  bool operator==(const TerminateInstance&) const = default;
};

struct AttachRemoteService {
  static constexpr std::string_view kType = "attach_remote_service";
  uint32_t corr_id = 0;
  std::string endpoint;
  std::string service_type;
  std::string service_name;
  bool operator==(const AttachRemoteService&) const = default;
};

struct ListInstances {
  static constexpr std::string_view kType = "list_instances";
  uint32_t corr_id = 0;
  bool operator==(const ListInstances&) const = default;
};

struct Ping {
  static constexpr std::string_view kType = "ping";
  uint32_t corr_id = 0;
  bool operator==(const Ping&) const = default;
};

using ClientMessage = std::variant<Identification, Signature, InternalAuthenticate, Query,
                                   UploadProgram, LaunchInstance, LaunchInstanceFromRegistry,
                                   LaunchServerInstance, AttachInstance, SignalInstance, UploadBlob,
                                   TerminateInstance, AttachRemoteService, ListInstances, Ping>;

// ---- server to client ---------------------------------------------------------------------------

struct Response {
  static constexpr std::string_view kType = "response";
  uint32_t corr_id = 0;
  bool successful = false;
  std::string result;
  bool operator==(const Response&) const = default;
};

struct InstanceLaunchResult {
  static constexpr std::string_view kType = "instance_launch_result";
  uint32_t corr_id = 0;
  bool successful = false;
  std::string message;  ///< the instance id, or the error
  bool operator==(const InstanceLaunchResult&) const = default;
};

struct InstanceAttachResult {
  static constexpr std::string_view kType = "instance_attach_result";
  uint32_t corr_id = 0;
  bool successful = false;
  std::string message;
  bool operator==(const InstanceAttachResult&) const = default;
};

/// Event codes of the wire; Blob, Stdout and Stderr are the client's own (they travel as messages
/// of other types).
enum class EventCode : uint32_t {
  kMessage = 0,
  kCompleted = 1,
  kAborted = 2,
  kException = 3,
  kServerError = 4,
  kOutOfResources = 5,
  kBlob = 6,
  kStdout = 7,
  kStderr = 8,
};

/// Whether the event ends its instance.
constexpr bool is_final(EventCode code) {
  return code >= EventCode::kCompleted && code <= EventCode::kOutOfResources;
}

/// The event's name as clients know it ("Completed").
std::string_view to_string(EventCode code);

struct InstanceEvent {
  static constexpr std::string_view kType = "instance_event";
  std::string instance_id;
  EventCode event = EventCode::kMessage;  ///< kMessage to kOutOfResources
  std::string message;
  bool operator==(const InstanceEvent&) const = default;
};

struct StreamingOutput {
  static constexpr std::string_view kType = "streaming_output";
  enum class Stream { kStdout, kStderr };
  std::string instance_id;
  Stream stream = Stream::kStdout;
  std::string text;  ///< valid UTF-8
  bool operator==(const StreamingOutput&) const = default;
};

struct DownloadBlob {
  static constexpr std::string_view kType = "download_blob";
  std::string instance_id;  ///< the wire's corr_id is always 0
  std::string blob_hash;
  Chunk chunk;
  bool operator==(const DownloadBlob&) const = default;
};

struct LiveInstance {
  std::string id;
  std::string cmd_name;
  std::vector<std::string> arguments;
  std::string status;  ///< "Attached", "Detached", "Finished"
  std::string username;
  uint64_t elapsed_secs = 0;
  uint32_t kv_pages_used = 0;
  bool operator==(const LiveInstance&) const = default;
};

struct LiveInstances {
  static constexpr std::string_view kType = "live_instances";
  uint32_t corr_id = 0;
  std::vector<LiveInstance> instances;
  bool operator==(const LiveInstances&) const = default;
};

struct ServerEvent {
  static constexpr std::string_view kType = "server_event";
  std::string message;
  bool operator==(const ServerEvent&) const = default;
};

using ServerMessage =
    std::variant<Response, InstanceLaunchResult, InstanceAttachResult, InstanceEvent,
                 StreamingOutput, DownloadBlob, LiveInstances, ServerEvent>;

/// The corr_id that an answer to this message carries; none when it is not to be answered.
std::optional<uint32_t> corr_id_of(const ClientMessage& message);
/// The `type` of the message on the wire.
std::string_view type_of(const ClientMessage& message);

}  // namespace pie::protocol
