#include "instance/log_tail.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "base/json_text.h"
#include "base/utf8.h"

namespace pie::instance {
namespace {

constexpr uint64_t kBytesMax = 1ULL << 20;

std::string name_of(const Event& event) {
  switch (event.kind) {
    case EventKind::kStdout: return "Stdout";
    case EventKind::kStderr: return "Stderr";
    case EventKind::kMessage: return "Message";
    case EventKind::kBlob: return "Blob";
    case EventKind::kEnd: break;
  }
  switch (event.end) {
    case EndKind::kCompleted: return "Completed";
    case EndKind::kAborted: return "Aborted";
    case EndKind::kException: return "Exception";
    case EndKind::kServerError: return "ServerError";
    case EndKind::kOutOfResources: return "OutOfResources";
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

/// Collects a tail, event by event.
class Tail : public std::enable_shared_from_this<Tail> {
 public:
  Tail(std::shared_ptr<EventLog> log, uint64_t bytes_max, TailForm form,
       std::function<void(std::string)> done)
      : log_(std::move(log)),
        form_(form),
        done_(std::move(done)),
        last_seq_(log_->last_seq()),
        seq_(log_->before_last(bytes_max)) {}

  /// Takes what is in memory, and goes on when more was brought back.
  void go_on() {
    for (;;) {
      const auto event = log_->next(seq_);
      if (event && event->seq <= last_seq_) {
        add(*event);
        seq_ = event->seq;
        continue;
      }
      const bool is_brought = !event && seq_ < last_seq_ &&
                              log_->fetch(seq_, [self = shared_from_this()] { self->go_on(); });
      if (is_brought) return;
      log_->release();
      return done_(form_ == TailForm::kJson ? "[" + text_ + "]" : std::move(text_));
    }
  }

 private:
  void add(const Event& event) {
    if (form_ == TailForm::kJson) {
      text_ += (text_.empty() ? "" : ", ") + json_row(event);
      return;
    }
    const bool is_inside_line = !text_.empty() && text_.back() != '\n';
    if (event.kind == EventKind::kEnd && is_inside_line) text_ += '\n';
    text_ += text_row(event);
  }

  const std::shared_ptr<EventLog> log_;
  const TailForm form_;
  const std::function<void(std::string)> done_;
  const uint64_t last_seq_;  ///< a program that goes on saying things keeps nobody here
  uint64_t seq_;
  std::string text_;
};

}  // namespace

void collect_tail(std::shared_ptr<EventLog> log, uint64_t bytes_max, TailForm form,
                  std::function<void(std::string)> done) {
  std::make_shared<Tail>(std::move(log), bytes_max, form, std::move(done))->go_on();
}

Result<TailQuery> parse_tail_query(const std::string& record) {
  TailQuery query;
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
    if (is_form) query.form = word == "json" ? TailForm::kJson : TailForm::kText;
    if (!is_form) query.bytes_max = std::min(bytes, kBytesMax);
  }
  return query;
}

}  // namespace pie::instance
