#include "protocol/client_session.h"

#include <memory>
#include <vector>

#include "crypto/blake3.h"
#include "fuzz.h"

namespace {

using namespace pie;
using namespace pie::protocol;

class Sink final : public EventSink {
 public:
  void on_event(Result<ClientEvent>) override { MUST(!lost_); }
  void on_lost(const Error&) override { lost_ = true; }

 private:
  bool lost_ = false;
};

ServerMessage message_of(fuzz::Source& source) {
  const uint32_t corr_id = source.byte() % 16;
  const std::string id(1, static_cast<char>('a' + source.byte() % 4));
  const std::string text(source.text());
  switch (source.byte() % 6) {
    case 0: return Response{corr_id, corr_id % 2 == 0, text};
    case 1: return InstanceLaunchResult{corr_id, corr_id % 2 == 0, id};
    case 2: return InstanceEvent{id, static_cast<EventCode>(source.byte() % 6), text};
    case 3: return StreamingOutput{id, StreamingOutput::Stream::kStdout, text};
    case 4: return LiveInstances{corr_id, {{.id = id}}};
    default: {
      Chunk chunk{source.byte() % 4U, source.byte() % 4U, {}};
      chunk.data.assign(text.begin(), text.end());
      return DownloadBlob{id, source.byte() % 2 ? crypto::blake3_hex(text) : id, chunk};
    }
  }
}

}  // namespace

/// A server that sends anything; every call must be answered exactly once, at last by the loss.
void pie::fuzz::fuzz(std::string_view input) {
  Source source(input);
  ClientSession session({.blob_bytes_max = 4096, .early_bytes_max = 4096});
  std::vector<std::shared_ptr<Sink>> sinks;
  size_t begun = 0;
  size_t answered = 0;
  for (int i = 0; i < 1'000 && !source.empty(); ++i) {
    switch (source.byte() % 5) {
      case 0:
        ++begun;
        session.begin(
            source.byte() % 2 ? ClientSession::Opens::kInstance : ClientSession::Opens::kNothing,
            [&answered](const Result<Reply>&) { ++answered; });
        break;
      case 1:
        sinks.push_back(std::make_shared<Sink>());
        session.open(std::string(1, static_cast<char>('a' + source.byte() % 4)), sinks.back());
        break;
      case 2:
        if (!sinks.empty()) sinks.erase(sinks.begin());
        break;
      case 3: static_cast<void>(session.on_frame(source.text()).ok()); break;
      default: static_cast<void>(session.on_frame(encode(message_of(source))).ok());
    }
    MUST(session.pending_count() == begun - answered);
  }
  session.on_lost(Error{ErrorCode::kUnavailable, "gone"});
  MUST(answered == begun);
}
