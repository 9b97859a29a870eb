#pragma once
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "base/blob.h"
#include "base/result.h"
#include "ports/end.h"

namespace pie::host {

/// What an instance has of one model; the prefix cache's figures since its launch.
struct ModelUse {
  uint32_t kv_pages = 0;
  uint64_t prefix_hits = 0;    ///< passes that found pages
  uint64_t prefix_tokens = 0;  ///< tokens that were not computed again

  ModelUse& operator+=(const ModelUse& other) {
    kv_pages += other.kv_pages;
    prefix_hits += other.prefix_hits;
    prefix_tokens += other.prefix_tokens;
    return *this;
  }
};

/// An instance, from its preparation to its end. Thread-safe. Dropping the last reference does not
/// end one that was started.
class RunningInstance {
 public:
  virtual ~RunningInstance() = default;
  /// Lets it run, once; its ports hear of everything else. One that was told to end before ends at
  /// once: nothing of it runs, and on_end comes from within this call. An error
  /// (kResourceExhausted, kUnavailable): it will never run, and on_end does not come.
  virtual Result<void> start() = 0;
  /// Appends to the FIFO that `message.receive` reads. kResourceExhausted when what the host keeps
  /// for the instance, or for its user, is as much as it may be.
  virtual Result<void> post_message(std::string text) = 0;
  virtual Result<void> post_blob(BlobRef blob) = 0;
  /// Bytes of posted messages that the program has not received: what a server looks at before it
  /// posts more.
  virtual uint64_t mailbox_bytes() const = 0;
  /// Ends it, whatever it does, within 100 ms; InstancePorts::on_end follows with this `end`
  /// (unless it ended by itself first), after start() if that is still to come. Later calls change
  /// nothing.
  virtual void terminate(End end) = 0;
  /// What it has of each model, in the order of ProgramHost::create's engines; shorter where it
  /// has nothing of the later ones.
  virtual std::vector<ModelUse> use_by_model() const = 0;
  uint32_t kv_pages_used() const {
    const auto uses = use_by_model();
    return std::accumulate(uses.begin(), uses.end(), 0U,
                           [](uint32_t sum, const ModelUse& use) { return sum + use.kv_pages; });
  }
  virtual uint64_t memory_bytes() const = 0;
  /// Whether anybody reads what is posted.
  virtual bool has_mailbox() const { return true; }
};

}  // namespace pie::host
