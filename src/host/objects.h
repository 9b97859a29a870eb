#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/blob.h"
#include "base/strong_id.h"
#include "host/host_memory.h"
#include "host/model_service.h"
#include "wasm/object.h"

namespace pie::host {

// Host objects behind the handles of inferlet:core/common that other interfaces take or return.

/// `blob`: made by the program or sent by a client; charged for what it takes in memory.
struct BlobObject final : wasm::Object {
  static constexpr std::string_view kResource = "inferlet:core/common/blob";
  BlobObject(BlobRef blob_, Charge charge_) : blob(std::move(blob_)), charge(std::move(charge_)) {}
  const BlobRef blob;
  const Charge charge;
};

/// `model`.
struct ModelObject final : wasm::Object {
  static constexpr std::string_view kResource = "inferlet:core/common/model";
  /// `name_`: what the program asked for, an id or an alias.
  ModelObject(const ModelService& service_, std::string name_)
      : service(service_), name(std::move(name_)) {}
  const ModelService& service;
  const std::string name;
};

/// `queue`: closed in the engine when nothing refers to it any more. `live` counts those of an
/// instance.
struct QueueObject final : wasm::Object {
  static constexpr std::string_view kResource = "inferlet:core/common/queue";
  using Counter = std::shared_ptr<std::atomic<uint32_t>>;
  QueueObject(const ModelService& service_, QueueId id_, Counter live_)
      : service(service_), id(id_), live(std::move(live_)) {
    ++*live;
  }
  ~QueueObject() override {
    engine().close_queue(id);
    --*live;
  }
  engine::Engine& engine() const { return service.engine(); }
  const ModelService& service;
  const QueueId id;
  const Counter live;
  engine::Priority priority = engine::Priority::kNormal;
};

/// `debug-query-result`: the answer is there at once.
struct DebugQueryObject final : wasm::Object {
  static constexpr std::string_view kResource = "inferlet:core/common/debug-query-result";
  DebugQueryObject(std::string text_, const std::shared_ptr<HostMemory>& memory)
      : text(std::move(text_)), charge(memory) {
    charge.add(text.size());
  }
  const wasm::ReadinessRef event =
      std::make_shared<wasm::Readiness>(wasm::Readiness::Start::kReady);
  std::string text;  ///< handed over by the first get
  bool taken = false;
  Charge charge;
};

}  // namespace pie::host
