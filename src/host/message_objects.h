#pragma once
#include <memory>
#include <string>
#include <utility>

#include "base/blob.h"
#include "host/mailbox.h"
#include "wasm/call.h"

namespace pie::host {

/// `receive-result`: one receive of a message. Dropping it unread swallows nothing.
struct ReceiveObject final : wasm::Object {
  explicit ReceiveObject(std::shared_ptr<Mailbox<std::string>::Receiver> receiver_)
      : receiver(std::move(receiver_)) {}
  const std::shared_ptr<Mailbox<std::string>::Receiver> receiver;
};

/// `blob-result`: likewise of a blob.
struct BlobResultObject final : wasm::Object {
  explicit BlobResultObject(std::shared_ptr<Mailbox<BlobRef>::Receiver> receiver_)
      : receiver(std::move(receiver_)) {}
  const std::shared_ptr<Mailbox<BlobRef>::Receiver> receiver;
};

}  // namespace pie::host
