#include "store/file_log_storage.h"

#include <utility>

#include "base/guarded.h"
#include "base/log.h"

namespace pie::store {
namespace {

constexpr const char* kWhat = "instance log";

bool may_work_later(const Error& error) { return error.code == ErrorCode::kResourceExhausted; }

void append(InstanceLogFile& file, const LogWork& work, LogWorkDone& done) {
  done.offsets.reserve(work.append.size());
  for (const auto& [record, payload] : work.append) {
    auto offset = file.append(record, *payload);
    if (!offset.ok()) {
      done.append_failed = std::move(offset).error();
      return;
    }
    done.offsets.push_back(*offset);
  }
}

void read(InstanceLogFile& file, const LogWork& work, LogWorkDone& done) {
  done.read.reserve(work.read.size());
  for (const EventRecord& record : work.read) {
    auto bytes =
        guarded(kWhat, [&] { return file.read(record.payload_offset, record.payload_bytes); });
    if (!bytes.ok() && may_work_later(bytes.error())) {
      done.read_failed = std::move(bytes).error();
      return;
    }
    done.read.push_back(std::move(bytes));
  }
}

/// Whatever happens, `done` says how far the work came.
LogWorkDone performed(InstanceLogFile& file, const LogWork& work) {
  LogWorkDone done;
  const auto part = [&](auto&& body, std::optional<Error>& failed) {
    const Result<void> result = guarded(kWhat, [&]() -> Result<void> {
      body(file, work, done);
      return {};
    });
    if (!result.ok()) failed = result.error();
  };
  part(append, done.append_failed);
  if (work.delivered) {
    if (auto marked = file.mark_delivered(*work.delivered); !marked.ok())
      log::warning("{}: {}", kWhat, marked.error().message);
  }
  part(read, done.read_failed);
  file.release();
  return done;
}

}  // namespace

FileLogStorage::FileLogStorage(std::unique_ptr<InstanceLogFile> file, std::string owner,
                               std::shared_ptr<WorkQueue> queue)
    : file_(std::move(file)), owner_(std::move(owner)), queue_(std::move(queue)) {}

void FileLogStorage::perform(LogWork work, std::function<void(LogWorkDone)> done) {
  auto posted = queue_->post_once(
      owner_, [file = file_, work = std::move(work), done] { done(performed(*file, work)); });
  if (posted.ok()) return;
  LogWorkDone refused;
  refused.append_failed = posted.error();
  refused.read_failed = std::move(posted).error();
  done(std::move(refused));
}

}  // namespace pie::store
