#include "instance/managed_instance.h"

#include <utility>

#include "instance/arguments.h"

namespace pie::instance {
namespace {

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
  return kRecordBytes + arguments_bytes(record.arguments);
}

std::shared_ptr<ManagedInstance> ManagedInstance::make(Parts parts, store::InstanceRecords& records,
                                                       const Clock& clock) {
  auto made = std::make_shared<ManagedInstance>(std::move(parts), records, clock);
  made->log_->listen([weak = std::weak_ptr(made)] {
    if (const auto self = weak.lock()) self->log_changed();
  });
  return made;
}

ManagedInstance::ManagedInstance(Parts parts, store::InstanceRecords& records, const Clock& clock)
    : record_(std::move(parts.record)),
      quotas_(std::move(parts.quotas)),
      memory_(std::move(parts.memory)),
      log_(std::move(parts.log)),
      records_(records),
      clock_(clock),
      place_(std::move(parts.place)),
      life_(parts.life),
      ended_(life_.finished()),
      parent_(std::move(parts.parent)),
      children_(std::move(parts.children)) {
  if (quotas_) quotas_->stored_logs.add(weight(record_));
}

ManagedInstance::~ManagedInstance() { forgotten(); }

void ManagedInstance::forgotten() {
  if (quotas_ && !is_forgotten_.exchange(true)) quotas_->stored_logs.give_back(weight(record_));
}

void ManagedInstance::set_running(std::shared_ptr<host::RunningInstance> running) {
  const std::lock_guard lock(mutex_);
  running_ = std::move(running);
}

std::shared_ptr<host::RunningInstance> ManagedInstance::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

void ManagedInstance::terminate(End end) {
  if (const auto one = running()) one->terminate(std::move(end));
}

void ManagedInstance::on_end(End end) {
  const uint64_t now_ns = clock_.wall_ns();
  records_.finished(record_.owner, record_.id, now_ns);
  place_ = nullptr;
  log_->end(std::move(end), [self = shared_from_this(), now_ns] { self->ended(now_ns); });
}

void ManagedInstance::ended(uint64_t now_ns) {
  std::vector<std::function<void()>> waiters;
  std::shared_ptr<host::RunningInstance> running;  // goes after the lock
  {
    const std::lock_guard lock(mutex_);
    life_.ended(now_ns);
    ended_ = true;
    running = std::exchange(running_, nullptr);
    waiters.swap(end_waiters_);
  }
  for (auto& waiter : waiters) waiter();
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

std::shared_ptr<InstanceListener> ManagedInstance::attach(
    const std::shared_ptr<InstanceListener>& listener) {
  const std::lock_guard lock(mutex_);
  if (auto holder = listener_.lock()) return holder;
  listener_ = listener;
  life_.client_attached();
  return nullptr;
}

void ManagedInstance::client_lost(const InstanceListener* listener) {
  const std::lock_guard lock(mutex_);
  const auto holder = listener_.lock();
  if (holder && holder.get() != listener) return;
  listener_.reset();
  end_sent_ = false;
  life_.client_lost(clock_.wall_ns());
  log_->release();
}

bool ManagedInstance::is_listed() const {
  const std::lock_guard lock(mutex_);
  return !(end_sent_ && life_.has_client());
}

Status ManagedInstance::status() const {
  const std::lock_guard lock(mutex_);
  return life_.status();
}

LifeCycle::Due ManagedInstance::due(uint64_t now_ns) const {
  const std::lock_guard lock(mutex_);
  return life_.due(now_ns);
}

void ManagedInstance::log_changed() {
  std::shared_ptr<InstanceListener> listener;
  {
    const std::lock_guard lock(mutex_);
    listener = listener_.lock();
  }
  if (listener) listener->events_ready(shared_from_this());
  const auto failure = log_->storage_failure();
  if (!failure) return;
  if (failure->error.code == ErrorCode::kResourceExhausted && failure->attempts < kStoreAttemptsMax)
    return;  // the log tries again, and its writers wait meanwhile
  terminate(
      {EndKind::kServerError, "the instance's log cannot be stored: " + failure->error.message});
}

void ManagedInstance::write_stdout(std::string_view bytes) {
  log_->write(EventKind::kStdout, bytes);
}

void ManagedInstance::write_stderr(std::string_view bytes) {
  log_->write(EventKind::kStderr, bytes);
}

void ManagedInstance::send_message(std::string text) {
  log_->append(EventKind::kMessage, std::move(text));
}

void ManagedInstance::send_blob(std::vector<uint8_t> bytes) {
  log_->append(EventKind::kBlob, std::string(bytes.begin(), bytes.end()));
}

}  // namespace pie::instance
