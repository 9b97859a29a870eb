#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "client/inbox.h"
#include "client/upload.h"

namespace pie::client {

/// Told how a call ended. Runs on the client's own thread (or, when the client is closed already,
/// on the caller's): it must not block.
template <class T>
using Done = std::function<void(Result<T>)>;

/// One call in flight, for Client::cancel().
using CallId = uint64_t;

class Core;

/// A program that runs on the server, as its client sees it. Copies are the same instance. Usable
/// after its Client is gone, as far as its events go.
class Instance {
 public:
  Instance(std::string id, std::shared_ptr<Inbox> inbox, std::shared_ptr<Core> core);

  const std::string& id() const { return id_; }
  /// Where its events are.
  Inbox& events() const { return *inbox_; }

  /// Sends it a message. A program that has ended reads no more: the message is dropped and recv
  /// tells the end; once that was told, this fails with it.
  CallId send(std::string message, Done<void> done) const;
  /// Sends it a blob; `done` gets the hash.
  CallId upload_blob(UploadSource source, Progress progress, Done<std::string> done) const;
  /// Ends it. Fine when it has ended by itself.
  CallId terminate(Done<void> done) const;

 private:
  std::string id_;
  std::shared_ptr<Inbox> inbox_;
  std::shared_ptr<Core> core_;
};

}  // namespace pie::client
