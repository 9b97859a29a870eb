#include "model/ggml_log.h"

#include <llama.h>

#include <mutex>
#include <string_view>

#include "base/log.h"

namespace pie::model {
namespace {

thread_local std::string* captured = nullptr;

void on_line(ggml_log_level level, const char* text, void*) noexcept {
  std::string_view line = text;
  while (!line.empty() && line.back() == '\n') line.remove_suffix(1);
  if (line.empty()) return;
  try {
    if (level == GGML_LOG_LEVEL_ERROR && captured != nullptr && captured->empty()) {
      captured->assign(line);
    }
    log::debug("ggml: {}", line);
  } catch (...) {  // a log line that cannot be written is dropped: nothing may unwind through C
  }
}

}  // namespace

void route_ggml_log() {
  static std::once_flag once;
  std::call_once(once, [] { llama_log_set(on_line, nullptr); });
}

GgmlErrorCapture::GgmlErrorCapture() {
  route_ggml_log();
  captured = new std::string;
}

GgmlErrorCapture::~GgmlErrorCapture() {
  delete captured;
  captured = nullptr;
}

std::string GgmlErrorCapture::text() const {
  return captured->empty() ? "no reason given" : *captured;
}

}  // namespace pie::model
