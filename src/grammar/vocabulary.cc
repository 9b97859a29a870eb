#include "grammar/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "grammar/bounded_call.h"

namespace pie::grammar {
namespace {

/// What marks a control token for the library.
constexpr char kControlMark = '\xff';

size_t tokenize_for_library(const void* vocabulary, const uint8_t* bytes, size_t size,
                            uint32_t* tokens, size_t room) {
  try {
    const std::vector<TokenId> found = static_cast<const Vocabulary*>(vocabulary)
                                           ->tokenize({reinterpret_cast<const char*>(bytes), size});
    std::copy_n(found.begin(), std::min(found.size(), room), tokens);
    return found.size();
  } catch (const std::exception&) {
    return 0;  // no memory: nothing is foretold
  }
}

}  // namespace

Vocabulary::Vocabulary(VocabularyData data)
    : data_(std::move(data)), is_control_(data_.tokens.size(), 0) {}

Vocabulary::~Vocabulary() { llg_free_tokenizer(handle_); }

bool Vocabulary::is_stop(TokenId token) const {
  return std::find(data_.stops.begin(), data_.stops.end(), token) != data_.stops.end();
}

Result<std::shared_ptr<const Vocabulary>> Vocabulary::make(VocabularyData data) {
  for (const auto* ids : {&data.control, &data.stops})
    for (const TokenId id : *ids)
      if (id >= data.tokens.size())
        return Error{
            ErrorCode::kInvalidArgument,
            fmt::format("[vocabulary] got token id {}, expected < {}", id, data.tokens.size())};
  std::shared_ptr<Vocabulary> vocabulary(new Vocabulary(std::move(data)));
  PIE_TRY(vocabulary->build());
  return std::shared_ptr<const Vocabulary>(std::move(vocabulary));
}

Result<void> Vocabulary::build() {
  for (const auto* ids : {&data_.control, &data_.stops})
    for (const TokenId id : *ids) is_control_[id] = 1;
  std::vector<uint32_t> sizes;
  std::string bytes;
  sizes.reserve(size());
  for (TokenId id = 0; id < size(); ++id) {
    const std::string& token = data_.tokens[id];
    const size_t begin = bytes.size();
    if (is_control_[id] != 0) bytes += kControlMark;
    // A token of the mark's byte alone cannot be told from a control token: it is in no UTF-8.
    if (is_control_[id] != 0 || token.empty() || token.front() != kControlMark) bytes += token;
    sizes.push_back(static_cast<uint32_t>(bytes.size() - begin));
    if (is_control_[id] != 0 || token.empty()) continue;
    text_.emplace(token, id);
    longest_ = std::max(longest_, token.size());
  }

  LlgTokenizerInitV2 init = {};
  init.struct_size = sizeof(init);
  init.vocab_size = static_cast<uint32_t>(size());
  init.tok_eos = data_.stops.empty() ? UINT32_MAX : data_.stops.front();
  init.token_lens = sizes.data();
  init.token_bytes = reinterpret_cast<const uint8_t*>(bytes.data());
  init.tokenize_assumes_string = true;
  init.tokenize_fn = tokenize_for_library;
  init.tokenize_user_data = this;
  if (data_.stops.size() > 1) {
    init.tok_eos_extra = data_.stops.data() + 1;
    init.tok_eos_extra_count = static_cast<uint32_t>(data_.stops.size() - 1);
  }
  std::string said(512, '\0');
  int64_t held = 0;
  {
    const HeapMeter meter(held);
    handle_ = llg_new_tokenizer_v2(&init, said.data(), said.size());
  }
  static std::once_flag prepared;
  std::call_once(prepared, pie_llguidance_prepare);
  if (handle_ == nullptr)
    return Error{ErrorCode::kInternal, fmt::format("[vocabulary] got: {}", said.c_str())};
  bytes_ = static_cast<uint64_t>(std::max<int64_t>(held, 0)) + bytes.size() * 4;
  return {};
}

std::vector<TokenId> Vocabulary::tokenize(std::string_view bytes) const {
  std::vector<TokenId> tokens;
  append_text(bytes, tokens);
  return tokens;
}

void Vocabulary::append_text(std::string_view text, std::vector<TokenId>& tokens) const {
  if (text.empty()) return;
  const std::vector<TokenId> found = data_.tokenize(text);
  size_t at = 0;
  for (const TokenId id : found) {
    // The model's tokenizer took a name for its token, put a space before the text, or mended it.
    if (id >= size() || is_control_[id] != 0 ||
        text.substr(at, data_.tokens[id].size()) != data_.tokens[id])
      return append_greedily(text, tokens);
    at += data_.tokens[id].size();
  }
  if (at != text.size()) return append_greedily(text, tokens);
  tokens.insert(tokens.end(), found.begin(), found.end());
}

void Vocabulary::append_greedily(std::string_view bytes, std::vector<TokenId>& tokens) const {
  while (!bytes.empty()) {
    size_t length = std::min(longest_, bytes.size());
    auto found = text_.end();
    for (; length > 0; --length) {
      found = text_.find(bytes.substr(0, length));
      if (found != text_.end()) break;
    }
    if (found == text_.end()) return;  // no token has this byte
    tokens.push_back(found->second);
    bytes.remove_prefix(length);
  }
}

}  // namespace pie::grammar
