#include "kv/prefix_cache.h"

#include "base/check.h"

namespace pie::kv {
namespace {

/// A page whose masks take more words than this is not remembered.
constexpr size_t kPageWordsMax = 1024;

/// Words of a token: id, position, count of runs, runs.
size_t token_words(std::span<const uint32_t> at) { return 3 + size_t{at[2]}; }

}  // namespace

PrefixCache::PrefixCache(FrameTable& frames, uint32_t page_size, uint64_t salt)
    : frames_(frames), page_size_(page_size), index_(salt) {}

PrefixCache::Content& PrefixCache::content(FrameId frame) {
  if (frame.value >= contents_.size()) contents_.resize(frame.value + 1);
  return contents_[frame.value];
}

const PrefixCache::Content* PrefixCache::known(const std::optional<FrameId>& frame) const {
  return frame && frame->value < contents_.size() ? &contents_[frame->value] : nullptr;
}

PrefixId PrefixCache::chain(std::span<const std::optional<FrameId>> frames, uint32_t domain) const {
  const PrefixId root = index_.find_root(domain);
  PrefixId last = kNoPrefix;
  PrefixId expected = kNoPrefix;
  for (size_t i = frames.size(); i-- > 0;) {
    const Content* c = known(frames[i]);
    if (c == nullptr || c->whole == kNoPrefix) return kNoPrefix;
    if (last == kNoPrefix) {
      last = c->whole;
    } else if (c->whole != expected) {
      return kNoPrefix;
    }
    expected = index_.parent(c->whole);
  }
  if (frames.empty()) return root;
  return expected == root ? last : kNoPrefix;
}

std::optional<std::vector<uint32_t>> PrefixCache::beginning(const std::optional<FrameId>& frame,
                                                            PrefixId parent,
                                                            uint32_t offset) const {
  if (offset == 0) return std::vector<uint32_t>{};
  const Content* c = known(frame);
  if (c == nullptr || c->parent != parent || c->ends.size() < offset) return std::nullopt;
  return std::vector(c->words.begin(), c->words.begin() + c->ends[offset - 1]);
}

Match PrefixCache::match(std::span<const std::optional<FrameId>> before, uint32_t context_len,
                         const PassContent& pass, uint32_t must_compute) const {
  Match match;
  match.first = context_len / page_size_;
  const uint32_t offset = context_len % page_size_;
  if (!pass.is_known() || offset + uint64_t{must_compute} < page_size_) return match;
  PrefixId parent = chain(before.first(match.first), pass.domain);
  if (parent == kNoPrefix) return match;
  auto text = beginning(before[match.first], parent, offset);
  uint32_t taken = 0;
  for (uint32_t end = page_size_ - offset; text && end <= must_compute; end += page_size_) {
    const auto words = pass.slice(taken, end);
    text->insert(text->end(), words.begin(), words.end());
    const std::optional<PrefixId> found = index_.find(parent, *text);
    if (!found) break;
    const std::optional<FrameId> frame = index_.frame(*found);
    if (!frame) {
      if (index_.claim(*found).who != 0) match.awaited = *found;
      break;
    }
    match.frames.push_back(*frame);
    match.token_count = taken = end;
    parent = *found;
    text->clear();
  }
  return match;
}

std::vector<PrefixId> PrefixCache::claim(Claim claim,
                                         std::span<const std::optional<FrameId>> before,
                                         const PassContent& pass, const WrittenTokens& written) {
  std::vector<PrefixId> claimed;
  const size_t first = written.context_len / page_size_;
  const uint32_t offset = written.context_len % page_size_;
  if (!pass.is_known() || offset + written.token_count < page_size_) return claimed;
  index_.root(pass.domain);
  PrefixId parent = chain(before.first(first), pass.domain);
  if (parent == kNoPrefix) return claimed;
  auto text = beginning(before[first], parent, offset);
  uint32_t taken = 0;
  for (uint32_t end = page_size_ - offset; text && end <= written.token_count; end += page_size_) {
    const auto words = pass.slice(written.first_token + taken, written.first_token + end);
    text->insert(text->end(), words.begin(), words.end());
    if (text->size() > kPageWordsMax) break;
    const PrefixId page = index_.insert(parent, *text);
    if (!index_.frame(page) && index_.claim(page).who == 0) {
      index_.set_claim(page, claim);
      claimed.push_back(page);
      parent = page;
    } else {
      parent = page;
      index_.unref(page);
    }
    taken = end;
    text->clear();
  }
  return claimed;
}

void PrefixCache::give_up(std::span<const PrefixId> claims) {
  for (const PrefixId page : claims) index_.set_claim(page, {});
  for (size_t i = claims.size(); i-- > 0;) index_.unref(claims[i]);
}

void PrefixCache::forget(FrameId frame) {
  if (frame.value >= contents_.size()) return;
  Content& c = contents_[frame.value];
  if (c.whole != kNoPrefix) {
    if (index_.frame(c.whole) == frame) index_.set_frame(c.whole, std::nullopt);
    index_.unref(c.whole);
  }
  if (c.parent != kNoPrefix) index_.unref(c.parent);
  c = {};
}

void PrefixCache::begin_write(FrameId frame, uint32_t offset) {
  Content& c = content(frame);
  if (c.whole == kNoPrefix) return;
  Content kept;
  if (offset > 0) {
    kept.parent = index_.parent(c.whole);
    index_.ref(kept.parent);
    std::span<const uint32_t> text = index_.text(c.whole);
    for (uint32_t i = 0; i < offset; ++i) {
      const size_t count = token_words(text);
      kept.words.insert(kept.words.end(), text.begin(),
                        text.begin() + static_cast<ptrdiff_t>(count));
      kept.ends.push_back(static_cast<uint32_t>(kept.words.size()));
      text = text.subspan(count);
    }
  }
  forget(frame);
  contents_[frame.value] = std::move(kept);
  if (frames_[frame].kept) frames_.stop_keeping(frame);
}

void PrefixCache::extend(FrameId frame, PrefixId parent, uint32_t offset, const PassContent& pass,
                         size_t first, size_t end) {
  begin_write(frame, offset);
  Content& c = contents_[frame.value];
  const bool goes_on = offset > 0 && parent != kNoPrefix && c.parent == parent &&
                       c.ends.size() >= offset && pass.is_known();
  if (!goes_on) {
    forget(frame);
    if (offset > 0 || parent == kNoPrefix || !pass.is_known()) return;
    c.parent = parent;
    index_.ref(parent);
  }
  c.ends.resize(offset);
  c.words.resize(offset == 0 ? 0 : c.ends.back());
  for (size_t i = first; i < end; ++i) {
    const auto words = pass.slice(i, i + 1);
    c.words.insert(c.words.end(), words.begin(), words.end());
    c.ends.push_back(static_cast<uint32_t>(c.words.size()));
  }
  if (c.words.size() > kPageWordsMax) return forget(frame);
  if (c.ends.size() < page_size_) return;
  c.whole = index_.insert(parent, c.words);
  index_.unref(std::exchange(c.parent, kNoPrefix));
  c.words = {};
  c.ends = {};
  if (index_.frame(c.whole)) return;
  index_.set_frame(c.whole, frame);
  frames_.keep(frame, index_.depth(c.whole));
}

void PrefixCache::wrote(std::span<const FrameId> frames, const PassContent& pass,
                        const WrittenTokens& written) {
  const size_t first_page = written.context_len / page_size_;
  uint32_t offset = written.context_len % page_size_;
  PrefixId parent = kNoPrefix;
  if (pass.is_known()) {
    index_.root(pass.domain);
    const std::vector<std::optional<FrameId>> before(
        frames.begin(), frames.begin() + static_cast<ptrdiff_t>(first_page));
    parent = chain(before, pass.domain);
  }
  size_t token = written.first_token;
  const size_t last = token + written.token_count;
  for (size_t page = first_page; token < last; ++page) {
    const size_t end = std::min<size_t>(last, token + page_size_ - offset);
    extend(frames[page], parent, offset, pass, token, end);
    parent = contents_[frames[page].value].whole;
    token = end;
    offset = 0;
  }
}

void PrefixCache::copied(FrameId from, FrameId to) {
  content(to);
  const Content source = content(from);
  forget(to);
  contents_[to.value] = source;
  if (source.whole != kNoPrefix) index_.ref(source.whole);
  if (source.parent != kNoPrefix) index_.ref(source.parent);
}

void PrefixCache::check_invariants() const {
  index_.check_invariants();
  for (uint32_t i = 0; i < contents_.size(); ++i) {
    const Content& c = contents_[i];
    const FrameId frame{i};
    const bool found = c.whole != kNoPrefix && index_.frame(c.whole) == frame;
    PIE_CHECK(found == (i < frames_.size() && frames_[frame].kept));
    PIE_CHECK(c.whole == kNoPrefix || c.parent == kNoPrefix);
    PIE_CHECK(c.ends.size() < page_size_);
  }
}

}  // namespace pie::kv
