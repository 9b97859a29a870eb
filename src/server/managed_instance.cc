#include "server/managed_instance.h"

#include <utility>

#include "base/utf8.h"
#include "server/event_messages.h"

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
/// Attempts to store what it says, some seconds apart, before an instance ends for want of room.
constexpr uint32_t kStoreAttemptsMax = 3;

}  // namespace

uint64_t ManagedInstance::weight(const store::InstanceRecord& record) {
  return kRecordBytes + record.arguments_bytes;
}

uint64_t ManagedInstance::memory_bytes(const store::InstanceRecord& record) {
  return kRecordBytes + bytes_of(record.arguments);
}

uint64_t ManagedInstance::bytes_of(const std::vector<std::string>& arguments) {
  uint64_t bytes = arguments.size() * sizeof(std::string);
  for (const std::string& one : arguments) bytes += one.size();
  return bytes;
}

ManagedInstance::ManagedInstance(store::InstanceRecord record, instance::LifeCycle life,
                                 std::shared_ptr<instance::EventLog> log, Ended ended,
                                 UserQuotasRef quotas, Holding memory)
    : record_(std::move(record)),
      quotas_(std::move(quotas)),
      memory_(std::move(memory)),
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

void ManagedInstance::listen() {
  log_->listen([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->log_changed();
  });
}

void ManagedInstance::finish(const host::End& end, uint64_t now_ns) {
  log_->end(code_of(end.kind), shortened(to_utf8(end.message), kEventTextBytesMax),
            [self = shared_from_this(), now_ns] { self->ended(now_ns); });
}

void ManagedInstance::ended(uint64_t now_ns) {
  std::vector<std::function<void()>> waiters;
  std::shared_ptr<host::RunningInstance> running;
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
  log_->release();
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

void ManagedInstance::log_changed() {
  tell_sink();
  const auto failure = log_->storage_failure();
  if (!failure) return;
  if (failure->error.code == ErrorCode::kResourceExhausted && failure->attempts < kStoreAttemptsMax)
    return;  // the log tries again, and its writers wait meanwhile
  terminate({host::EndKind::kServerError,
             "the instance's log cannot be stored: " + failure->error.message});
}

void ManagedInstance::write_stdout(std::string_view bytes) {
  log_->write(instance::EventKind::kStdout, bytes);
}

void ManagedInstance::write_stderr(std::string_view bytes) {
  log_->write(instance::EventKind::kStderr, bytes);
}

void ManagedInstance::send_message(std::string text) {
  log_->append(instance::EventKind::kMessage, std::move(text));
}

void ManagedInstance::send_blob(std::vector<uint8_t> bytes) {
  log_->append(instance::EventKind::kBlob, std::string(bytes.begin(), bytes.end()));
}

void ManagedInstance::on_end(host::End end) { ended_callback_(shared_from_this(), std::move(end)); }

}  // namespace pie::server
