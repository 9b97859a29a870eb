#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/strong_id.h"
#include "engine/forward_pass.h"

namespace pie::decode {

/// A part of what a generation gives. Its text may lag behind its tokens: characters are whole, and
/// what may become a stop text is held back.
struct Piece {
  std::string text;  ///< UTF-8
  std::vector<TokenId> tokens;
  std::vector<engine::TokenDetails> details;  ///< by token, where they are wanted
  std::vector<engine::Distribution> ranked;   ///< likewise
  std::vector<float> surprise_max;            ///< with mirostat, by token: of the one behind it
};

enum class EndReason {
  kStopToken,  ///< the last token is one; its text is not part of the text
  kStopText,   ///< the text ends before it; the last token holds its end
  kComplete,   ///< the constraint lets nothing follow
  kTokensMax,
  kRoom,  ///< the pages are full
  kCancelled,
  kFailed,  ///< nothing of the last pass is known
};

/// How a generation ended. All tokens but the last are in the cache.
struct GenerationEnd {
  EndReason reason = EndReason::kFailed;
  std::string message;       ///< why it failed, or the stop text
  uint32_t tokens = 0;       ///< generated
  uint32_t context_len = 0;  ///< slots that hold the sequence now
  uint32_t passes = 0;
  uint32_t drafted = 0;   ///< tokens that were tried
  uint32_t accepted = 0;  ///< of these
};

}  // namespace pie::decode
