#pragma once
#include <atomic>
#include <cstdint>
#include <string>

#include "host/model_service.h"

namespace pie::host {

/// Says in the server's log, once for each instance, that it goes beyond what a model was trained
/// for. Thread-safe; outlives the instance where callbacks hold it.
class ContextNote {
 public:
  explicit ContextNote(std::string public_id) : public_id_(std::move(public_id)) {}

  /// `length`: of a sequence that is computed, in tokens.
  void look(uint64_t length, const ModelService& service);

 private:
  const std::string public_id_;
  std::atomic<bool> is_said_ = false;
};

}  // namespace pie::host
