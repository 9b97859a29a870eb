#include "protocol/chunks.h"

#include <algorithm>

#include "crypto/blake3.h"
#include "fuzz.h"

/// Chunks in any order: only a whole with the right hash is complete, and never too much is kept.
void pie::fuzz::fuzz(std::string_view input) {
  using namespace pie::protocol;
  using Step = ChunkReceiver::Step;
  constexpr uint64_t kMax = 600;
  Source source(input);
  const std::string expected(source.text());
  ChunkReceiver receiver(crypto::blake3_hex(expected), kMax);
  std::string kept;
  for (int i = 0; i < 100 && !source.empty(); ++i) {
    Chunk chunk{source.byte() % 8U, source.byte() % 8U, {}};
    if (source.byte() == 0xff) chunk.data.resize(kChunkBytesMax + 1);
    const auto bytes = source.byte() % 2 ? std::string_view(expected).substr(
                                               std::min(kept.size(), expected.size()), 16)
                                         : source.text();
    if (chunk.data.empty()) chunk.data.assign(bytes.begin(), bytes.end());
    const Step step = receiver.accept(chunk);
    if (step == Step::kStore || step == Step::kComplete)
      kept.append(chunk.data.begin(), chunk.data.end());
    MUST(kept.size() <= kMax && receiver.bytes_received() <= kMax);
    if (step == Step::kComplete) MUST(crypto::blake3_hex(kept) == receiver.hash());
    if (step == Step::kFailed || step == Step::kDiscard)
      MUST(receiver.failed() && !receiver.error().message.empty());
    if (step == Step::kComplete || step == Step::kFailed) return;
  }
}
