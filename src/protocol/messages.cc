#include "protocol/messages.h"

namespace pie::protocol {

std::string_view to_string(EventCode code) {
  switch (code) {
    case EventCode::kMessage: return "Message";
    case EventCode::kCompleted: return "Completed";
    case EventCode::kAborted: return "Aborted";
    case EventCode::kException: return "Exception";
    case EventCode::kServerError: return "ServerError";
    case EventCode::kOutOfResources: return "OutOfResources";
    case EventCode::kBlob: return "Blob";
    case EventCode::kStdout: return "Stdout";
    case EventCode::kStderr: return "Stderr";
  }
  return "Unknown";
}

std::optional<uint32_t> corr_id_of(const ClientMessage& message) {
  return std::visit([](const auto& m) -> std::optional<uint32_t> { return m.corr_id; }, message);
}

std::string_view type_of(const ClientMessage& message) {
  return std::visit([](const auto& m) { return m.kType; }, message);
}

}  // namespace pie::protocol
