#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ledger.h"
#include "host/instance_ports.h"
#include "host/running_instance.h"
#include "instance/admission.h"
#include "instance/event_log.h"
#include "instance/instance_listener.h"
#include "instance/life_cycle.h"
#include "store/instance_records.h"

namespace pie::instance {

/// One instance from its launch until nobody needs it any more: its log, its state, who hears it
/// and the program that runs. Thread-safe.
class ManagedInstance final : public host::InstancePorts,
                              public std::enable_shared_from_this<ManagedInstance> {
 public:
  struct Parts {
    store::InstanceRecord record;
    LifeCycle life;
    std::shared_ptr<EventLog> log;
    UserQuotasRef quotas;  ///< its stored_logs counts the record until forgotten(); may be null
    Holding memory;        ///< memory_bytes() of it
    std::unique_ptr<Admission::Place> place;  ///< until it ends
    std::string parent;                       ///< of a child, its parent's id
    std::shared_ptr<Children> children;       ///< what it launches; may be null
  };
  /// Its log is heard from now on. `records` and `clock` outlive it.
  static std::shared_ptr<ManagedInstance> make(Parts parts, store::InstanceRecords& records,
                                               const Clock& clock);
  ManagedInstance(Parts parts, store::InstanceRecords& records, const Clock& clock);
  ~ManagedInstance() override;

  /// The record is no longer kept.
  void forgotten();
  /// What is kept of an instance beside its log, in bytes: its arguments, and what every one costs.
  static uint64_t weight(const store::InstanceRecord& record);
  /// What it takes in the server's memory beside its log, about.
  static uint64_t memory_bytes(const store::InstanceRecord& record);

  const store::InstanceRecord& record() const { return record_; }
  const std::string& id() const { return record_.id; }
  /// Where its record is kept.
  store::InstanceRecords& records() { return records_; }
  EventLog& log() { return *log_; }
  const std::shared_ptr<EventLog>& shared_log() const { return log_; }

  /// What is to run, before anybody else knows this instance.
  void set_running(std::shared_ptr<host::RunningInstance> running);
  /// The program that runs, or is about to; null after the end.
  std::shared_ptr<host::RunningInstance> running() const;
  /// Ends the program, also one that was not started yet. Nothing after the end.
  void terminate(End end);
  /// Calls `done` when the instance has ended; at once, if it has.
  void when_ended(std::function<void()> done);

  /// Makes `listener` the one that hears, unless somebody else does: then that one is returned.
  std::shared_ptr<InstanceListener> attach(const std::shared_ptr<InstanceListener>& listener);
  /// `listener` hears no more; others are left alone.
  void client_lost(const InstanceListener* listener);
  /// The final event is on its way to the client: lists no longer show the instance.
  void set_end_sent() { end_sent_ = true; }
  bool is_listed() const;

  Status status() const;
  LifeCycle::Due due(uint64_t now_ns) const;

  // host::InstancePorts
  void write_stdout(std::string_view bytes) override;
  void write_stderr(std::string_view bytes) override;
  void send_message(std::string text) override;
  void send_blob(std::vector<uint8_t> bytes) override;
  uint64_t writable_bytes() override { return log_->writable_bytes(); }
  void on_writable(std::function<void()> wake) override { log_->on_writable(std::move(wake)); }
  Result<void> check_room(uint64_t bytes) override { return log_->check_room(bytes); }
  std::shared_ptr<Children> children() override { return children_; }
  std::optional<std::string> parent() const override {
    return parent_.empty() ? std::nullopt : std::optional(parent_);
  }
  /// Leaves its place and writes the final event; when that is stored (or could not be), it has
  /// ended. Also for one that was never started.
  void on_end(End end) override;

 private:
  void ended(uint64_t now_ns);
  /// The one who listens hears of what was stored. A log that the disk does not take for some time
  /// ends the instance: what it says would not survive.
  void log_changed();

  const store::InstanceRecord record_;
  const UserQuotasRef quotas_;
  const Holding memory_;
  const std::shared_ptr<EventLog> log_;
  store::InstanceRecords& records_;
  const Clock& clock_;
  std::unique_ptr<Admission::Place> place_;
  mutable std::mutex mutex_;
  LifeCycle life_;
  bool ended_ = false;
  std::shared_ptr<host::RunningInstance> running_;
  std::weak_ptr<InstanceListener> listener_;
  std::vector<std::function<void()>> end_waiters_;
  std::atomic<bool> end_sent_ = false;
  std::atomic<bool> is_forgotten_ = false;
  const std::string parent_;
  const std::shared_ptr<Children> children_;
};

}  // namespace pie::instance
