#pragma once
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "instance/instance_manager.h"

namespace pie::server {

/// The figures of `query model_status` and `backend_stats` (protocol.md, section 8). Thread-safe.
class StatusReport {
 public:
  StatusReport(std::vector<const engine::Engine*> engines,
               const instance::InstanceManager& instances)
      : engines_(std::move(engines)), instances_(instances) {}

  /// A JSON object of text to text; of instances, the user's own.
  std::string json(const std::string& user) const;
  /// The same as aligned text, one figure a line.
  std::string text(const std::string& user) const;

 private:
  using Lines = std::vector<std::pair<std::string, std::string>>;
  Lines lines(const std::string& user) const;

  const std::vector<const engine::Engine*> engines_;
  const instance::InstanceManager& instances_;
};

}  // namespace pie::server
