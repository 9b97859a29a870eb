#include "decode/text_cutter.h"

#include <algorithm>
#include <utility>

namespace pie::decode {
namespace {

std::vector<std::string> without_empty(std::vector<std::string> texts) {
  std::erase_if(texts, [](const std::string& one) { return one.empty(); });
  return texts;
}

/// How many bytes at the end of `text` begin `stop`, without being all of it.
size_t begun(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length)
    if (text.substr(text.size() - length) == stop.substr(0, length)) return length;
  return 0;
}

}  // namespace

StopTextCutter::StopTextCutter(std::vector<std::string> stop_texts)
    : stop_texts_(without_empty(std::move(stop_texts))) {}

std::string StopTextCutter::push(std::string_view bytes) {
  if (found_) return {};
  held_ += characters_.push(bytes);
  return release();
}

/// The earliest stop text ends it; of those that begin at the same place the longest.
std::string StopTextCutter::release() {
  size_t cut = std::string::npos;
  for (const std::string& stop : stop_texts_) {
    const size_t at = held_.find(stop);
    if (at == std::string::npos || at > cut) continue;
    if (at == cut && found_ && found_->size() >= stop.size()) continue;
    cut = at;
    found_ = stop;
  }
  if (found_) return std::exchange(held_, {}).substr(0, cut);
  size_t kept = 0;
  for (const std::string& stop : stop_texts_) kept = std::max(kept, begun(held_, stop));
  std::string text = held_.substr(0, held_.size() - kept);
  held_.erase(0, text.size());
  return text;
}

std::string StopTextCutter::finish() {
  if (found_) return {};
  return std::exchange(held_, {}) + characters_.finish();
}

}  // namespace pie::decode
