#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/blob.h"
#include "host/mailbox.h"
#include "wasm/object.h"

namespace pie::host {

/// `receive-result`: one receive of a message. Dropping it unread swallows nothing.
struct ReceiveObject final : wasm::Object {
  static constexpr std::string_view kResource = "inferlet:core/message/receive-result";
  explicit ReceiveObject(std::shared_ptr<Mailbox<std::string>::Receiver> receiver_)
      : receiver(std::move(receiver_)) {}
  const std::shared_ptr<Mailbox<std::string>::Receiver> receiver;
};

/// `blob-result`: likewise of a blob; or one that the host makes.
struct BlobResultObject final : wasm::Object {
  static constexpr std::string_view kResource = "inferlet:core/common/blob-result";
  /// `take`: the blob, once; none before `event` and after it was taken.
  using Take = std::function<std::optional<Mailbox<BlobRef>::Message>()>;
  BlobResultObject(wasm::ReadinessRef event_, Take take_)
      : event(std::move(event_)), take(std::move(take_)) {}
  const wasm::ReadinessRef event;
  const Take take;
};

}  // namespace pie::host
