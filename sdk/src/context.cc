#include "pie/context.h"

#include <algorithm>
#include <utility>

namespace inferlet {
namespace {

/// Appends one slot to a mask row of alternating runs, attend first.
void extend_runs(std::vector<uint32_t>& runs, bool masked) {
  // Runs at even indices attend; the last run's index is size() - 1.
  const bool last_is_masked = runs.size() % 2 == 0;
  if (!runs.empty() && last_is_masked == masked) {
    ++runs.back();
    return;
  }
  if (runs.empty() && masked) runs.push_back(0);
  runs.push_back(1);
}

}  // namespace

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

/// Forgets all tokens but the first `count`. Those in a page that is not full of them are pending
/// again, in a page of their own: others may read this one.
void Context::keep(size_t count) {
  if (count >= slots_.size()) {
    pending_.resize(count - slots_.size());
  } else {
    const size_t page_count = count / shared_->pages->page_size();
    const size_t computed = page_count * shared_->pages->page_size();
    const auto begin = slots_.begin() + static_cast<ptrdiff_t>(computed);
    pending_.assign(begin, slots_.begin() + static_cast<ptrdiff_t>(count));
    slots_.resize(computed);
    pages_.resize(page_count);
    page_numbers_.resize(page_count);
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

Result<void> Context::flush() {
  if (auto written = write_turns(false); !written) return written;
  if (!pending_.empty()) submit();
  return {};
}

Result<void> Context::begin_step(const Sampler& sampler) {
  if (auto written = write_turns(true); !written) return written;
  hold_last_token();
  if (pending_.empty()) return fail("[step] got an empty context, expected a token: fill one in");
  if (auto requested = request(sampler); !requested) return requested;
  step_ = submit();
  return {};
}

Result<uint32_t> Context::end_step(const Sampler& sampler) {
  if (!step_) return fail("[step] got end_step without begin_step");
  step_->wait();
  const Result<uint32_t> token = sampler.take(*step_);
  step_.reset();
  if (!token) return token;
  append_pending(std::span(&*token, 1));
  if (!chat_.messages.empty()) chat_.reply.push_back(*token);
  return token;
}

Result<void> Context::begin_distribution(float temperature, uint32_t top_k) {
  return begin_step(Sampler::distribution(temperature, top_k));
}

Result<Distribution> Context::end_distribution() {
  if (!step_) return fail("[step] got end_distribution without begin_distribution");
  step_->wait();
  std::optional<std::vector<Distribution>> distributions = step_->distributions();
  step_.reset();
  if (!distributions || distributions->empty()) return fail("[step] the pass gave no distribution");
  return std::move(distributions->front());
}

Result<Distribution> Context::next_distribution(float temperature, uint32_t top_k) {
  if (auto begun = begin_distribution(temperature, top_k); !begun) return fail(begun.error());
  return end_distribution();
}

Result<uint32_t> Context::decode_step(const Sampler& sampler) {
  if (auto begun = begin_step(sampler); !begun) return fail(begun.error());
  return end_step(sampler);
}

/// Asks the next pass for what the sampler needs of its last token.
Result<void> Context::request(const Sampler& sampler) {
  const size_t looked_at = std::min(sampler.history_size(), size());
  std::vector<uint32_t> last(looked_at);
  for (size_t i = 0; i < looked_at; ++i) {
    const size_t at = size() - looked_at + i;
    last[i] = (at < slots_.size() ? slots_[at] : pending_[at - slots_.size()]).token;
  }
  auto requested = sampler.request(pass_, static_cast<uint32_t>(pending_.size() - 1),
                                   TokenHistory{.position = size(), .tokens = last});
  if (!requested) pass_ = ForwardPass(queue());  // what was asked before the mistake goes
  return requested;
}

std::optional<PassResult> Context::submit() {
  const size_t page_size = shared_->pages->page_size();
  const size_t total = slots_.size() + pending_.size();
  const size_t page_count = (total + page_size - 1) / page_size;
  if (page_count > pages_.size()) {
    for (auto& page : shared_->pages->take(page_count - pages_.size())) {
      page_numbers_.push_back(page->number());
      pages_.push_back(std::move(page));
    }
  }
  std::vector<uint32_t> tokens;
  std::vector<uint32_t> positions;
  tokens.reserve(pending_.size());
  positions.reserve(pending_.size());
  for (const Slot& slot : pending_) {
    tokens.push_back(slot.token);
    positions.push_back(slot.position);
  }
  pass_.kv_cache(page_numbers_, total - (page_count - 1) * page_size);
  pass_.input_tokens(tokens, positions);
  if (has_masked_) pass_.attention_mask(mask_rows());
  std::optional<PassResult> result = pass_.execute();
  slots_.insert(slots_.end(), pending_.begin(), pending_.end());
  pending_.clear();
  return result;
}

std::vector<std::vector<uint32_t>> Context::mask_rows() const {
  std::vector<uint32_t> runs;
  for (const Slot& slot : slots_) extend_runs(runs, slot.masked);
  std::vector<std::vector<uint32_t>> rows;
  rows.reserve(pending_.size());
  for (const Slot& slot : pending_) {
    rows.push_back(runs);
    extend_runs(rows.back(), false);  // a token always attends to itself
    extend_runs(runs, slot.masked);
  }
  return rows;
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
  const size_t page_size = shared_->pages->page_size();
  const size_t full_pages = slots_.size() / page_size;
  size_t kept = 0;
  size_t dropped = 0;
  std::vector<Slot> slots;
  for (size_t i = 0; i < pages_.size(); ++i) {
    const auto first = slots_.begin() + static_cast<ptrdiff_t>(i * page_size);
    const auto last = i < full_pages ? first + static_cast<ptrdiff_t>(page_size) : slots_.end();
    if (i < full_pages && std::all_of(first, last, [](const Slot& slot) { return slot.masked; })) {
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
  child.has_masked_ = has_masked_;
  child.chat_ = chat_;
  return child;
}

std::vector<uint32_t> Context::tokens() const {
  std::vector<uint32_t> out;
  out.reserve(size());
  for (const Slot& slot : slots_) out.push_back(slot.token);
  for (const Slot& slot : pending_) out.push_back(slot.token);
  return out;
}

}  // namespace inferlet
