#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"

namespace pie::decode {

/// The text of a generation: bytes of tokens in, whole characters out, up to a stop text. What may
/// be the beginning of one is held back. Not thread-safe.
class StopTextCutter {
 public:
  /// Empty stop texts are ignored.
  explicit StopTextCutter(std::vector<std::string> stop_texts);

  /// What can be passed on now. Nothing comes after a stop text.
  std::string push(std::string_view bytes);
  /// The stop text that has come.
  const std::optional<std::string>& found() const { return found_; }
  /// What was held back: nothing more will come.
  std::string finish();

 private:
  std::string release();

  const std::vector<std::string> stop_texts_;
  Utf8Stream characters_;
  std::string held_;
  std::optional<std::string> found_;
};

}  // namespace pie::decode
