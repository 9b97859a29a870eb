#include "pie/context.h"

#include <algorithm>
#include <ranges>
#include <utility>

namespace inferlet {
Result<Context> Context::create() {
  Result<Model> model = default_model();
  if (!model) return fail(model.error());
  return create(std::move(*model));
}

Result<Context> Context::create(std::string_view model_name) {
  std::optional<Model> model = find_model(model_name);
  if (!model) return fail("[model] got '" + std::string(model_name) + "', which is not served");
  return create(std::move(*model));
}

Result<Context> Context::create(Model model) {
  auto pages = std::make_shared<KvPages>(model.create_queue(), model.kv_page_size());
  Tokenizer tokenizer = model.tokenizer();
  std::vector<std::string> stop_tokens = model.stop_tokens();
  const ModelInfo info = model.info();
  return Context(std::make_shared<Shared>(std::move(model), std::move(tokenizer), std::move(pages),
                                          std::move(stop_tokens), info));
}

Context::Context(std::shared_ptr<Shared> shared)
    : shared_(std::move(shared)), pass_(shared_->pages->queue()) {}

void Context::append_pending(std::span<const uint32_t> tokens) {
  for (const uint32_t token : tokens) pending_.push_back({token, next_position_++, false});
}

/// The tokens of a text that comes next, with the one that begins every text where it is the first.
std::vector<uint32_t> Context::tokens_at_end(std::string_view text) const {
  std::vector<uint32_t> tokens = tokenizer().tokenize(text);
  const ModelInfo& info = shared_->info;
  if (size() == 0 && info.adds_bos && (tokens.empty() || tokens.front() != *info.bos_token))
    tokens.insert(tokens.begin(), *info.bos_token);
  return tokens;
}

void Context::set_adapter(std::shared_ptr<const Adapter> adapter, std::optional<int64_t> seed) {
  adapter_ = std::move(adapter);
  adapter_seed_ = seed;
}

/// Forgets all computed tokens but the first `count`; nothing is pending. Those in a page that is
/// not full of them are pending again where others may read it.
void Context::keep_slots(size_t count) {
  const size_t page_size = shared_->pages->page_size();
  size_t page_count = (count + page_size - 1) / page_size;
  if (count % page_size != 0 && pages_[page_count - 1].use_count() > 1) {
    --page_count;
    const auto begin = slots_.begin() + static_cast<ptrdiff_t>(page_count * page_size);
    pending_.assign(begin, slots_.begin() + static_cast<ptrdiff_t>(count));
    count = page_count * page_size;
  }
  slots_.resize(count);
  pages_.resize(page_count);
  page_numbers_.resize(page_count);
}

/// Forgets all tokens but the first `count`.
void Context::keep(size_t count) {
  if (count == size()) return;
  if (count >= slots_.size()) {
    pending_.resize(count - slots_.size());
  } else {
    pending_.clear();
    keep_slots(count);
  }
  const std::vector<Slot>& last = pending_.empty() ? slots_ : pending_;
  next_position_ = last.empty() ? 0 : last.back().position + 1;
  set_masked(0, 0, true);  // there may be no masked token left
}

/// Makes the last token pending when nothing is: a step needs one. Its slot is written again, so
/// that a page which others may read is left to them.
void Context::hold_last_token() {
  if (!pending_.empty() || slots_.empty()) return;
  if (pages_.back().use_count() > 1) {
    const size_t begin = (pages_.size() - 1) * shared_->pages->page_size();
    pending_.assign(slots_.begin() + static_cast<ptrdiff_t>(begin), slots_.end());
    slots_.resize(begin);
  } else {
    pending_.push_back(slots_.back());
    slots_.pop_back();
  }
  const size_t page_size = shared_->pages->page_size();
  const size_t page_count = (slots_.size() + page_size - 1) / page_size;
  pages_.resize(page_count);
  page_numbers_.resize(page_count);
}

Result<void> Context::fill(std::string_view text) {
  if (auto written = write_turns(false); !written) return written;
  return fill_tokens(tokens_at_end(text));
}

Result<void> Context::fill_tokens(std::span<const uint32_t> tokens) {
  if (auto written = write_turns(false); !written) return written;
  append_pending(tokens);
  if (chat_.is_prompted) {
    chat_.reply.insert(chat_.reply.end(), tokens.begin(), tokens.end());
  } else if (!chat_.messages.empty()) {
    chat_.written += tokenizer().detokenize(tokens);
    chat_.is_prompted = true;  // the program writes the rest of this turn itself
  }
  return {};
}

Flushed Context::flush() {
  auto written = write_turns(false);
  if (written && !pending_.empty()) submit({});
  return Flushed(std::move(written), queue());
}

void Context::set_masked(size_t begin, size_t end, bool masked) {
  end = std::min(end, size());
  for (size_t i = begin; i < end; ++i) {
    (i < slots_.size() ? slots_[i] : pending_[i - slots_.size()]).masked = masked;
  }
  const auto is_masked = [](const Slot& slot) { return slot.masked; };
  has_masked_ = std::ranges::any_of(slots_, is_masked) || std::ranges::any_of(pending_, is_masked);
}

size_t Context::drop_masked_pages() {
  return drop_pages([this](size_t slot) { return slots_[slot].masked; });
}

/// Gives back the full pages of which nothing is needed.
size_t Context::drop_pages(const std::function<bool(size_t)>& is_dispensable) {
  const size_t page_size = shared_->pages->page_size();
  const size_t full_pages = slots_.size() / page_size;
  size_t kept = 0;
  size_t dropped = 0;
  std::vector<Slot> slots;
  for (size_t i = 0; i < pages_.size(); ++i) {
    const auto first = slots_.begin() + static_cast<ptrdiff_t>(i * page_size);
    const auto last = i < full_pages ? first + static_cast<ptrdiff_t>(page_size) : slots_.end();
    const auto in_page = std::views::iota(i * page_size, (i + 1) * page_size);
    if (i < full_pages && std::ranges::all_of(in_page, is_dispensable)) {
      ++dropped;
      continue;
    }
    slots.insert(slots.end(), first, last);
    pages_[kept] = pages_[i];
    page_numbers_[kept++] = page_numbers_[i];
  }
  pages_.resize(kept);
  page_numbers_.resize(kept);
  slots_ = std::move(slots);
  if (dropped > 0) chat_.is_whole = false;
  set_masked(0, 0, true);  // there may be no masked token left
  return dropped;
}

Context Context::fork() const {
  Context child(shared_);
  const size_t page_size = shared_->pages->page_size();
  // Where nothing is pending, the last token will be held here and computed again in its page.
  const bool holds_last = pending_.empty() && !slots_.empty();
  const size_t shared_pages = (slots_.size() - (holds_last ? 1 : 0)) / page_size;
  const auto shared_end = slots_.begin() + static_cast<ptrdiff_t>(shared_pages * page_size);
  child.pages_.assign(pages_.begin(), pages_.begin() + static_cast<ptrdiff_t>(shared_pages));
  child.page_numbers_.assign(page_numbers_.begin(),
                             page_numbers_.begin() + static_cast<ptrdiff_t>(shared_pages));
  child.slots_.assign(slots_.begin(), shared_end);
  child.pending_.assign(shared_end, slots_.end());
  child.pending_.insert(child.pending_.end(), pending_.begin(), pending_.end());
  child.next_position_ = next_position_;
  child.adapter_ = adapter_;
  child.adapter_seed_ = adapter_seed_;
  child.has_masked_ = has_masked_;
  child.window_ = window_;
  child.chat_ = chat_;
  return child;
}

Result<void> Context::join(const Context& other) {
  const size_t page_size = shared_->pages->page_size();
  for (const Context* one : {static_cast<const Context*>(this), &other}) {
    if (!one->pending_.empty() || one->slots_.size() % page_size != 0)
      return fail("[join] got a context of " + std::to_string(one->slots_.size()) +
                  " computed and " + std::to_string(one->pending_.size()) +
                  " pending tokens, expected full pages of " + std::to_string(page_size));
  }
  pages_.insert(pages_.end(), other.pages_.begin(), other.pages_.end());
  page_numbers_.insert(page_numbers_.end(), other.page_numbers_.begin(), other.page_numbers_.end());
  slots_.insert(slots_.end(), other.slots_.begin(), other.slots_.end());
  next_position_ = std::max(next_position_, other.next_position_);
  set_masked(0, 0, true);  // there may be masked tokens now
  return {};
}

std::vector<uint32_t> Context::tokens() const {
  std::vector<uint32_t> out;
  out.reserve(size());
  for (const Slot& slot : slots_) out.push_back(slot.token);
  for (const Slot& slot : pending_) out.push_back(slot.token);
  return out;
}

}  // namespace inferlet
