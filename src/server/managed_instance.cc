#include "server/managed_instance.h"

#include <utility>

namespace pie::server {
namespace {

instance::EndCode code_of(host::EndKind kind) {
  switch (kind) {
    case host::EndKind::kCompleted: return instance::EndCode::kCompleted;
    case host::EndKind::kAborted: return instance::EndCode::kAborted;
    case host::EndKind::kException: return instance::EndCode::kException;
    case host::EndKind::kServerError: return instance::EndCode::kServerError;
    case host::EndKind::kOutOfResources: return instance::EndCode::kOutOfResources;
  }
  return instance::EndCode::kServerError;
}

/// What an instance counts beside its arguments, so that many without any fill the quota too: a
/// round figure, not a measured one.
constexpr uint64_t kRecordBytes = 4096;

}  // namespace

uint64_t ManagedInstance::weight(const store::InstanceRecord& record) {
  uint64_t bytes = kRecordBytes;
  for (const std::string& argument : record.arguments) bytes += argument.size();
  return bytes;
}

ManagedInstance::ManagedInstance(store::InstanceRecord record, instance::LifeCycle life,
                                 std::unique_ptr<instance::EventLog> log, Ended ended,
                                 UserQuotasRef quotas)
    : record_(std::move(record)),
      quotas_(std::move(quotas)),
      log_(std::move(log)),
      ended_callback_(std::move(ended)),
      life_(life),
      ended_(life.finished()) {
  if (quotas_) quotas_->stored_logs.add(weight(record_));
}

ManagedInstance::~ManagedInstance() { forgotten(); }

void ManagedInstance::forgotten() {
  if (quotas_ && !is_forgotten_.exchange(true)) quotas_->stored_logs.give_back(weight(record_));
}

std::shared_ptr<host::RunningInstance> ManagedInstance::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

void ManagedInstance::set_running(std::shared_ptr<host::RunningInstance> running) {
  std::optional<host::End> termination;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    running_ = running;
    termination = std::exchange(termination_, std::nullopt);
  }
  if (termination) running->terminate(std::move(*termination));
}

void ManagedInstance::terminate(host::End end) {
  std::shared_ptr<host::RunningInstance> running;
  {
    const std::lock_guard lock(mutex_);
    running = running_;
    if (!running && !ended_) termination_ = end;
  }
  if (running) running->terminate(std::move(end));
}

void ManagedInstance::finish(const host::End& end, uint64_t now_ns) {
  std::vector<std::function<void()>> waiters;
  std::shared_ptr<host::RunningInstance> running;
  log_->end(code_of(end.kind), end.message);
  {
    const std::lock_guard lock(mutex_);
    life_.ended(now_ns);
    ended_ = true;
    running = std::exchange(running_, nullptr);
    waiters.swap(end_waiters_);
  }
  for (auto& waiter : waiters) waiter();
  tell_sink();
}

void ManagedInstance::when_ended(std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    if (!ended_) {
      end_waiters_.push_back(std::move(done));
      return;
    }
  }
  done();
}

std::shared_ptr<EventSink> ManagedInstance::attach(const std::shared_ptr<EventSink>& sink) {
  const std::lock_guard lock(mutex_);
  if (auto holder = sink_.lock()) return holder;
  sink_ = sink;
  life_.client_attached();
  return nullptr;
}

void ManagedInstance::client_lost(const EventSink* sink, uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  const auto holder = sink_.lock();
  if (holder && holder.get() != sink) return;
  sink_.reset();
  end_sent_ = false;
  life_.client_lost(now_ns);
}

bool ManagedInstance::is_listed() const {
  const std::lock_guard lock(mutex_);
  return !(end_sent_ && life_.has_client());
}

instance::Status ManagedInstance::status() const {
  const std::lock_guard lock(mutex_);
  return life_.status();
}

instance::LifeCycle::Due ManagedInstance::due(uint64_t now_ns) const {
  const std::lock_guard lock(mutex_);
  return life_.due(now_ns);
}

void ManagedInstance::tell_sink() {
  std::shared_ptr<EventSink> sink;
  {
    const std::lock_guard lock(mutex_);
    sink = sink_.lock();
  }
  if (sink) sink->events_ready(shared_from_this());
}

void ManagedInstance::said() {
  tell_sink();
  const std::string failure = log_->storage_failure();
  if (!failure.empty())
    terminate({host::EndKind::kServerError, "the instance's log cannot be stored: " + failure});
}

void ManagedInstance::write_stdout(std::string_view bytes) {
  log_->write(instance::EventKind::kStdout, bytes);
  said();
}

void ManagedInstance::write_stderr(std::string_view bytes) {
  log_->write(instance::EventKind::kStderr, bytes);
  said();
}

void ManagedInstance::send_message(std::string text) {
  log_->append(instance::EventKind::kMessage, std::move(text));
  said();
}

void ManagedInstance::send_blob(std::vector<uint8_t> bytes) {
  log_->append(instance::EventKind::kBlob, std::string(bytes.begin(), bytes.end()));
  said();
}

void ManagedInstance::on_end(host::End end) { ended_callback_(shared_from_this(), std::move(end)); }

}  // namespace pie::server
