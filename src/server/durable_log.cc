#include "server/durable_log.h"

#include <utility>
#include <vector>

#include "base/log.h"

namespace pie::server {
namespace {

using instance::EndCode;
using instance::EventKind;
using instance::LogStorage;

class FileStorage final : public LogStorage {
 public:
  explicit FileStorage(std::unique_ptr<store::InstanceLogFile> file) : file_(std::move(file)) {}

  Result<uint64_t> append(const Record& record, std::string_view payload) override {
    return file_->append({.seq = record.seq,
                          .kind = static_cast<uint8_t>(record.kind),
                          .code = static_cast<uint8_t>(record.end)},
                         payload);
  }
  Result<std::string> read(uint64_t payload_offset, uint32_t payload_bytes) override {
    return file_->read(payload_offset, payload_bytes);
  }
  void delivered(uint64_t seq) override {
    if (auto done = file_->mark_delivered(seq); !done.ok())
      log::warning("instance log: {}", done.error().message);
  }
  void rest() override { file_->release(); }

 private:
  std::unique_ptr<store::InstanceLogFile> file_;
};

bool is_known(const store::LogRecord& record) {
  return record.kind >= static_cast<uint8_t>(EventKind::kStdout) &&
         record.kind <= static_cast<uint8_t>(EventKind::kEnd) &&
         record.code >= static_cast<uint8_t>(EndCode::kCompleted) &&
         record.code <= static_cast<uint8_t>(EndCode::kOutOfResources);
}

}  // namespace

Result<std::shared_ptr<instance::EventLog>> open_durable_log(
    store::Instances& store, const std::string& instance_id,
    const instance::EventLog::Limits& limits, instance::EventLog::Post post) {
  PIE_TRY_ASSIGN(auto file, store.open_log(instance_id));
  std::vector<LogStorage::Record> records;
  for (const auto& one : file->take_records())
    if (is_known(one))
      records.push_back({one.seq, static_cast<EventKind>(one.kind), static_cast<EndCode>(one.code),
                         one.payload_offset, one.payload_bytes});
  const uint64_t last_seq = file->last_seq();
  const bool is_end_delivered = file->delivered_kind() == static_cast<uint8_t>(EventKind::kEnd);
  return std::make_shared<instance::EventLog>(limits,
                                              std::make_unique<FileStorage>(std::move(file)),
                                              records, last_seq, is_end_delivered, std::move(post));
}

}  // namespace pie::server
