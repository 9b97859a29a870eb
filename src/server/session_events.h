#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "instance/instance_listener.h"
#include "instance/managed_instance.h"
#include "protocol/delivery.h"

namespace pie::server {

class Session;

/// The instances that a connection hears: what they say is pulled from their logs while the socket
/// takes it. A part of its session, and used on its strand, except where it says otherwise.
class SessionEvents final : public instance::InstanceListener {
 public:
  using InstanceRef = std::shared_ptr<instance::ManagedInstance>;

  explicit SessionEvents(Session& session) : session_(session) {}

  // instance::InstanceListener, any thread
  void events_ready(const InstanceRef& instance) override;
  void probe(std::function<void(Peer)> done) override;
  void taken_over(const std::string& instance_id) override;

  /// This, as long as the session lives; any thread.
  std::shared_ptr<SessionEvents> shared();
  /// Notes that this connection has the instance; false, and the instance told, when it is closed.
  /// Any thread.
  bool hold(const InstanceRef& instance);

  /// Sends what the instance's log holds, and goes on.
  void follow(const InstanceRef& instance);
  void pump();
  /// The client has them.
  void delivered(const protocol::Delivered& delivered);
  /// The peer answers.
  void heard();
  /// The outbox has nothing more of them.
  void drained() { outbox_bytes_ = 0; }
  /// What the outbox may hold of events, beside answers.
  uint64_t outbox_bytes() const { return outbox_bytes_; }
  void close();

 private:
  struct Attachment {
    InstanceRef instance;
    uint64_t sent_seq = 0;
  };

  /// Sends a few events; true when there may be more.
  bool send_some(Attachment& attachment);
  void probe_unanswered(uint64_t id);

  Session& session_;
  std::map<std::string, Attachment> attachments_;  ///< by instance id
  std::deque<std::string> active_;                 ///< attachments that may have events, in turn
  std::set<std::string> is_active_;
  uint64_t outbox_bytes_ = 0;

  std::mutex mutex_;  ///< of what follows
  bool closed_ = false;
  std::map<std::string, InstanceRef> held_;
  std::set<std::string> ready_;
  bool pump_posted_ = false;
  std::map<uint64_t, std::function<void(Peer)>> probes_;
  uint64_t next_probe_ = 1;
};

}  // namespace pie::server
