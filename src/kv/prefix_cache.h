#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "kv/frame_table.h"
#include "kv/prefix_index.h"

namespace pie::kv {

/// What a pass writes into its pages, token by token, as words: id, position, count of mask runs,
/// the runs (none = causal). `ends[i]` is where token i's words end. Empty: not known (embeddings),
/// then nothing of it is shared.
struct PassContent {
  uint32_t domain = 0;  ///< who may share it; 0: nobody
  std::vector<uint32_t> words;
  std::vector<uint32_t> ends;

  bool is_known() const { return domain != 0 && !ends.empty(); }
  std::span<const uint32_t> slice(size_t first, size_t end) const {
    const size_t from = first == 0 ? 0 : ends[first - 1];
    return std::span(words).subspan(from, ends[end - 1] - from);
  }
};

/// A computation of `token_count` tokens of a pass after `context_len` slots.
struct WrittenTokens {
  uint32_t context_len = 0;
  uint32_t first_token = 0, token_count = 0;  ///< of the content
};

/// Frames that a pass need not compute.
struct Match {
  size_t first = 0;              ///< index in its page list
  std::vector<FrameId> frames;   ///< for the pages from there on
  uint32_t token_count = 0;      ///< of the pass's tokens that they hold
  PrefixId awaited = kNoPrefix;  ///< not known yet, and somebody is computing it
};

/// Which frame holds which content: what was computed from known tokens is found by them again, by
/// whoever belongs to the same domain. Full pages only; and only as long as nothing else is written
/// there. Thread: engine only.
class PrefixCache {
 public:
  PrefixCache(FrameTable& frames, uint32_t page_size, uint64_t salt);

  /// What the pass of `tokens` from token 0 on finds, in whole pages of which no token is at or
  /// behind `must_compute`. `before`: the frames of its page list as far as they are bound.
  Match match(std::span<const std::optional<FrameId>> before, uint32_t context_len,
              const PassContent& content, uint32_t must_compute) const;
  /// Whether the page is still being computed by `who`.
  bool is_claimed(PrefixId prefix, uint64_t who) const { return index_.claim(prefix).who == who; }
  const Claim& claim_of(PrefixId prefix) const { return index_.claim(prefix); }

  /// The pass is about to compute these pages: others wait for them. Returns what it claimed.
  std::vector<PrefixId> claim(Claim claim, std::span<const std::optional<FrameId>> before,
                              const PassContent& content, const WrittenTokens& written);
  void give_up(std::span<const PrefixId> claims);

  /// The frame is about to be written from `offset` tokens on: nobody finds it any more if that
  /// changes what is known of it.
  void begin_write(FrameId frame, uint32_t offset);
  /// The frames (the page list as far as the chunk reaches) hold what the chunk computed.
  void wrote(std::span<const FrameId> frames, const PassContent& content,
             const WrittenTokens& written);
  /// The frame's content is not known any more.
  void forget(FrameId frame);
  /// The content that is known of a copied frame is known of the copy too.
  void copied(FrameId from, FrameId to);

  const PrefixIndex& index() const { return index_; }
  void check_invariants() const;

 private:
  /// What is known of a frame's content: a whole page, or the beginning of one.
  struct Content {
    PrefixId whole = kNoPrefix;
    PrefixId parent = kNoPrefix;  ///< of the beginning
    std::vector<uint32_t> words;
    std::vector<uint32_t> ends;
  };
  Content& content(FrameId frame);
  const Content* known(const std::optional<FrameId>& frame) const;
  /// The content of a whole page list, if it is one that was computed in this order.
  PrefixId chain(std::span<const std::optional<FrameId>> frames, uint32_t domain) const;
  /// The words of a page: what the frame begins with, then tokens of the pass.
  std::optional<std::vector<uint32_t>> beginning(const std::optional<FrameId>& frame,
                                                 PrefixId parent, uint32_t offset) const;
  void extend(FrameId frame, PrefixId parent, uint32_t offset, const PassContent& content,
              size_t first, size_t end);

  FrameTable& frames_;
  const uint32_t page_size_;
  PrefixIndex index_;
  std::vector<Content> contents_;  // by frame
};

}  // namespace pie::kv
