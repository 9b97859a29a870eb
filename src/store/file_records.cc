#include "store/file_records.h"

#include <set>
#include <system_error>

#include "base/log.h"
#include "store/asked_work.h"
#include "store/file_log_storage.h"
#include "store/orphans.h"

namespace pie::store {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWhat = "instances";
constexpr uint32_t kUnbounded = UINT32_MAX;
/// What an instance takes on the disk beside its arguments, about.
constexpr uint64_t kRecordBytes = 4096;

}  // namespace

FileRecords::FileRecords(Database& database, fs::path folder, const DiskReserve& reserve)
    : table_(database),
      folder_(std::move(folder)),
      reserve_(reserve),
      logs_(std::make_shared<WorkQueue>(WorkQueue::Config{.name = "logs",
                                                          .thread_count = 2,
                                                          .owner_pending_max = kUnbounded,
                                                          .pending_max = kUnbounded})),
      records_({.name = kWhat, .owner_pending_max = kUnbounded, .pending_max = kUnbounded}) {
  remove_orphans();
}

void FileRecords::add(InstanceRecord record, Done done) {
  const std::string owner = record.owner;
  ask<void>(records_, owner, kWhat, std::move(done),
            [this, record = std::move(record)]() -> Result<void> {
              PIE_TRY(reserve_.check("launch", kRecordBytes + record.arguments_bytes));
              return table_.add(record);
            });
}

void FileRecords::ask_and_log(const std::string& owner, const std::string& id,
                              std::function<Result<void>()> work) {
  ask<void>(
      records_, owner, kWhat,
      [id](const Result<void>& done) {
        if (!done.ok()) log::error("instance {}: {}", id, done.error().message);
      },
      std::move(work));
}

void FileRecords::finished(const std::string& owner, const std::string& id, uint64_t finished_ns) {
  ask_and_log(owner, id, [this, id, finished_ns] { return table_.finished(id, finished_ns); });
}

void FileRecords::remove(const std::string& owner, const std::string& id) {
  ask_and_log(owner, id, [this, id]() -> Result<void> {
    // The row first: one without its log would look like an instance that never said a word.
    PIE_TRY(table_.remove(id));
    std::error_code ignored;
    fs::remove(log_of(id), ignored);
    return {};
  });
}

std::unique_ptr<LogStorage> FileRecords::new_log(const std::string& owner, const std::string& id) {
  return std::make_unique<FileLogStorage>(InstanceLogFile::create(log_of(id)), owner, logs_);
}

Result<std::vector<StoredInstance>> FileRecords::recover() {
  PIE_TRY_ASSIGN(std::vector<InstanceRecord> records, table_.list());
  std::vector<StoredInstance> all;
  for (InstanceRecord& record : records) {
    auto log = [&]() -> Result<StoredLog> {
      PIE_TRY_ASSIGN(auto file, InstanceLogFile::open(log_of(record.id)));
      StoredLog stored{.storage = nullptr,
                       .records = file->take_records(),
                       .last_seq = file->last_seq(),
                       .is_end_delivered = file->is_end_delivered()};
      stored.storage = std::make_unique<FileLogStorage>(std::move(file), record.owner, logs_);
      return stored;
    }();
    all.push_back({std::move(record), std::move(log)});
  }
  return all;
}

void FileRecords::stop() {
  logs_->stop(WorkQueue::Rest::kFinish);
  records_.stop(WorkQueue::Rest::kFinish);
}

void FileRecords::remove_orphans() {
  const auto records = table_.list();
  if (!records.ok()) return;
  std::set<fs::path> known;
  for (const auto& one : *records) known.insert(log_of(one.id));
  remove_others(folder_, known);
}

}  // namespace pie::store
