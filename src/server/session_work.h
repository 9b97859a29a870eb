#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/quota.h"
#include "base/result.h"
#include "base/work_queue.h"
#include "server/compiled_programs.h"

namespace pie::server {

class Session;

/// Work of a connection's requests on the server's queues: in the user's turn, and charged to the
/// user. A part of its session. Thread-safe, where nothing else is said.
class SessionWork {
 public:
  using Refuse = std::function<void(std::string reason)>;

  explicit SessionWork(Session& session) : session_(session) {}

  /// A message of so many bytes is being taken. Strand, as later() and hold_request().
  void begin(uint64_t request_bytes) { request_bytes_ = request_bytes; }
  /// Has a request's job run; the user is charged with the request's bytes meanwhile. When it
  /// cannot be, the reason goes to `refuse`, at once.
  void later(WorkQueue& queue, std::function<void()> job, const Refuse& refuse);
  /// The request's bytes, charged to the user; kResourceExhausted.
  Result<std::shared_ptr<Holding>> hold_request() const;
  /// The same as later() for what only this connection wants, and `bytes` long: it is dropped when
  /// the connection goes, its processor time is the user's, and it is refused when the user has
  /// none left.
  void compile_later(uint64_t bytes, std::function<void()> job, const Refuse& refuse);
  /// compile_later(), for the library; keeps the session alive.
  CompiledPrograms::Post compiler();
  /// Drops what is to be compiled.
  void close();

 private:
  Session& session_;
  uint64_t request_bytes_ = 0;
  std::mutex mutex_;  ///< of what follows
  bool closed_ = false;
  std::map<uint64_t, WorkQueue::Ticket> compiling_;
  uint64_t next_compiling_ = 1;
};

}  // namespace pie::server
