#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "host/program_host.h"
#include "instance/event_log.h"
#include "instance/life_cycle.h"
#include "store/store.h"

namespace pie::server {

class ManagedInstance;

/// The connection that an instance's events go to. Thread-safe; nothing here blocks.
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// The instance's log has something new.
  virtual void events_ready(const std::shared_ptr<ManagedInstance>& instance) = 0;
  /// Finds out whether the peer still answers; `done` comes once, from any thread.
  virtual void probe(std::function<void(bool alive)> done) = 0;
  /// Somebody else has taken the instance over: forget it.
  virtual void taken_over(const std::string& instance_id) = 0;
};

/// One instance from its launch until nobody needs it any more: its log, its state, who hears it
/// and the program that runs. Thread-safe.
class ManagedInstance final : public host::InstancePorts,
                              public std::enable_shared_from_this<ManagedInstance> {
 public:
  /// `ended` is called once, on the thread of on_end(), and must be quick.
  using Ended = std::function<void(const std::shared_ptr<ManagedInstance>&, host::End)>;

  /// `quotas`: its stored_logs counts the record until forgotten(); may be null. `memory`: what
  /// this holds of it, memory_bytes().
  ManagedInstance(store::InstanceRecord record, instance::LifeCycle life,
                  std::shared_ptr<instance::EventLog> log, Ended ended, UserQuotasRef quotas,
                  Holding memory);
  ~ManagedInstance() override;

  /// From now on what its log stores goes to the one who hears it. Once, before anything is said.
  void listen();

  /// The record is no longer kept.
  void forgotten();
  /// What is kept of an instance beside its log, in bytes: its arguments, and what every one costs.
  static uint64_t weight(const store::InstanceRecord& record);
  /// What it takes in the server's memory beside its log, about.
  static uint64_t memory_bytes(const store::InstanceRecord& record);
  static uint64_t bytes_of(const std::vector<std::string>& arguments);

  const store::InstanceRecord& record() const { return record_; }
  const std::string& id() const { return record_.id; }
  instance::EventLog& log() { return *log_; }

  /// The program that runs; null before the launch and after the end.
  std::shared_ptr<host::RunningInstance> running() const;
  void set_running(std::shared_ptr<host::RunningInstance> running);
  /// Ends the program, also one whose launch is under way. Nothing after the end.
  void terminate(host::End end);

  /// Writes the final event and then, when it is stored (or could not be), changes the state.
  void finish(const host::End& end, uint64_t now_ns);
  /// Calls `done` when the instance has ended; at once, if it has.
  void when_ended(std::function<void()> done);

  /// Makes `sink` the one that hears, unless somebody else does: then that one is returned.
  std::shared_ptr<EventSink> attach(const std::shared_ptr<EventSink>& sink);
  /// `sink` hears no more; others are left alone.
  void client_lost(const EventSink* sink, uint64_t now_ns);
  /// The final event is on its way to the client: lists no longer show the instance.
  void set_end_sent() { end_sent_ = true; }
  bool is_listed() const;

  instance::Status status() const;
  instance::LifeCycle::Due due(uint64_t now_ns) const;

  // host::InstancePorts
  void write_stdout(std::string_view bytes) override;
  void write_stderr(std::string_view bytes) override;
  void send_message(std::string text) override;
  void send_blob(std::vector<uint8_t> bytes) override;
  uint64_t writable_bytes() override { return log_->writable_bytes(); }
  void on_writable(std::function<void()> wake) override { log_->on_writable(std::move(wake)); }
  void on_end(host::End end) override;

 private:
  void ended(uint64_t now_ns);
  void tell_sink();
  /// The one who listens hears of what was stored. A log that the disk does not take for some time
  /// ends the instance: what it says would not survive.
  void log_changed();

  const store::InstanceRecord record_;
  const UserQuotasRef quotas_;
  const Holding memory_;
  const std::shared_ptr<instance::EventLog> log_;
  const Ended ended_callback_;
  mutable std::mutex mutex_;
  instance::LifeCycle life_;
  bool ended_ = false;
  std::shared_ptr<host::RunningInstance> running_;
  std::optional<host::End> termination_;  ///< asked for before the launch returned
  std::weak_ptr<EventSink> sink_;
  std::vector<std::function<void()>> end_waiters_;
  std::atomic<bool> end_sent_ = false;
  std::atomic<bool> is_forgotten_ = false;
};

}  // namespace pie::server
