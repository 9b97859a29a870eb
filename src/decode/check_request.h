#pragma once
#include <cstdint>

#include "base/result.h"
#include "decode/request.h"

namespace pie::decode {

/// What an engine is like, as a generation needs it.
struct EngineFacts {
  uint32_t page_size = 0;
  uint32_t vocab_size = 0;
};

/// Bounds of a request, beside those that its memory has: what is looked at for each token.
constexpr uint32_t kHistoryWindowMax = 4096;
constexpr size_t kBreakersMax = 64;
constexpr size_t kStopsMax = 64;
constexpr size_t kStopTextBytesMax = 1024;
constexpr uint32_t kRankedMax = 64;
/// Equal tokens that a look-up may need: each token that is indexed costs as many steps.
constexpr uint32_t kMatchMax = 32;
/// The least that mirostat lets the surprise of a token be, in bits.
constexpr float kSurpriseMin = 0.01F;
/// Tokens that are tried in one pass.
constexpr uint32_t kDraftMax = 64;

/// Everything about a request that needs no engine: kInvalidArgument, "[generate] got X, expected
/// Y".
Result<void> check_request(const GenerationRequest& request, const EngineFacts& engine);

}  // namespace pie::decode
