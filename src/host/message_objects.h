#pragma once
#include <memory>
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

/// `blob-result`: likewise of a blob.
struct BlobResultObject final : wasm::Object {
  static constexpr std::string_view kResource = "inferlet:core/common/blob-result";
  explicit BlobResultObject(std::shared_ptr<Mailbox<BlobRef>::Receiver> receiver_)
      : receiver(std::move(receiver_)) {}
  const std::shared_ptr<Mailbox<BlobRef>::Receiver> receiver;
};

}  // namespace pie::host
