#include "server/log_tail.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "base/json_text.h"
#include "base/utf8.h"

namespace pie::server {
namespace {

constexpr uint64_t kBytesMax = 1ULL << 20;

using instance::EndCode;
using instance::Event;
using instance::EventKind;

std::string name_of(const Event& event) {
  switch (event.kind) {
    case EventKind::kStdout: return "Stdout";
    case EventKind::kStderr: return "Stderr";
    case EventKind::kMessage: return "Message";
    case EventKind::kBlob: return "Blob";
    case EventKind::kEnd: break;
  }
  switch (event.end) {
    case EndCode::kCompleted: return "Completed";
    case EndCode::kAborted: return "Aborted";
    case EndCode::kException: return "Exception";
    case EndCode::kServerError: return "ServerError";
    case EndCode::kOutOfResources: return "OutOfResources";
  }
  return "";
}

std::string text_of(const Event& event) { return shortened(to_utf8(*event.payload), kBytesMax); }

std::string json_row(const Event& event) {
  const std::string what = event.kind == EventKind::kBlob
                               ? "\"bytes\": " + std::to_string(event.payload->size())
                               : "\"text\": " + json_text(text_of(event));
  return "{\"event\": \"" + name_of(event) + "\", " + what + "}";
}

std::string text_row(const Event& event) {
  if (event.kind == EventKind::kBlob)
    return "[a blob of " + std::to_string(event.payload->size()) + " bytes]\n";
  if (event.kind == EventKind::kEnd)
    return name_of(event) + (event.payload->empty() ? "" : ": " + text_of(event)) + "\n";
  return text_of(event) + (event.kind == EventKind::kMessage ? "\n" : "");
}

}  // namespace

std::string log_tail(const instance::EventLog& log, uint64_t bytes_max, bool as_json) {
  const uint64_t last_seq =
      log.last_seq();  // a program that goes on saying things keeps nobody here
  std::string out;
  for (auto event = log.read(log.before_last(bytes_max)); event && event->seq <= last_seq;
       event = log.read(event->seq)) {
    if (as_json) out += (out.empty() ? "" : ", ") + json_row(*event);
    if (as_json) continue;
    const bool is_inside_line = !out.empty() && out.back() != '\n';
    if (event->kind == EventKind::kEnd && is_inside_line) out += '\n';
    out += text_row(*event);
  }
  return as_json ? "[" + out + "]" : out;
}

Result<LogQuery> parse_log_query(const std::string& record) {
  LogQuery query;
  std::istringstream words(record);
  words >> query.instance_id;
  for (std::string word; words >> word;) {
    const bool is_form = word == "json" || word == "text";
    uint64_t bytes = 0;
    const auto [end, failed] = std::from_chars(word.data(), word.data() + word.size(), bytes);
    if (!is_form && (failed != std::errc() || end != word.data() + word.size()))
      return Error{ErrorCode::kInvalidArgument,
                   "[instance_log] got '" + word.substr(0, 80) +
                       "', expected an instance's id, then json or text, and a number of bytes"};
    if (is_form) query.as_json = word == "json";
    if (!is_form) query.bytes_max = std::min(bytes, kBytesMax);
  }
  return query;
}

}  // namespace pie::server
