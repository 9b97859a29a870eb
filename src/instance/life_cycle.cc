#include "instance/life_cycle.h"

namespace pie::instance {

std::string_view to_string(Status status) {
  switch (status) {
    case Status::kAttached: return "Attached";
    case Status::kDetached: return "Detached";
    case Status::kFinished: return "Finished";
  }
  return "Finished";
}

Status LifeCycle::status() const {
  if (finished_) return Status::kFinished;
  return has_client_ ? Status::kAttached : Status::kDetached;
}

void LifeCycle::client_lost(uint64_t now_ns) {
  has_client_ = false;
  alone_since_ns_ = now_ns;
}

void LifeCycle::ended(uint64_t now_ns) {
  if (finished_) return;
  finished_ = true;
  if (!has_client_ && mode_ == LaunchMode::kDetached) alone_since_ns_ = now_ns;
}

LifeCycle::Due LifeCycle::due(uint64_t now_ns) const {
  if (has_client_) return Due::kNothing;
  const uint64_t alone_ns = now_ns > alone_since_ns_ ? now_ns - alone_since_ns_ : 0;
  if (finished_) {
    // An attached launch whose client went away keeps its end for as long as a detached one: its
    // owner may still come for what it said.
    return alone_ns >= times_.finished_kept_ns ? Due::kRemove : Due::kNothing;
  }
  if (mode_ == LaunchMode::kDetached) return Due::kNothing;
  return alone_ns >= times_.grace_ns ? Due::kAbort : Due::kNothing;
}

}  // namespace pie::instance
