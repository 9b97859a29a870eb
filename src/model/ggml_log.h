#pragma once
#include <string>

namespace pie::model {

/// Sends the log lines of ggml and libllama to pie::log at level debug. Process-wide, done once;
/// further calls do nothing. Thread-safe.
void route_ggml_log();

/// Keeps the last error line that ggml or libllama logs on this thread while it lives, so that our
/// Errors can say what the library said. Not nested.
class GgmlErrorCapture {
 public:
  GgmlErrorCapture();
  ~GgmlErrorCapture();
  GgmlErrorCapture(const GgmlErrorCapture&) = delete;
  GgmlErrorCapture& operator=(const GgmlErrorCapture&) = delete;
  /// The first error line without its newline; "no reason given" when there was none.
  std::string text() const;
};

}  // namespace pie::model
