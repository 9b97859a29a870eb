#pragma once
#include <common/chat.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace pie::model {

/// What a template's formats were for the tools and arguments asked for of late, so that it is
/// analysed once for each of them and not at every render. Bounded; what was not used for longest
/// goes. Thread-safe; to be used within run_bounded().
class FormatCache {
 public:
  static constexpr size_t kEntriesMax = 32;
  static constexpr size_t kBytesMax = 8U << 20;  ///< of all entries
  using Format = std::shared_ptr<const common_chat_params>;

  /// Null for none.
  Format find(const std::string& key);
  /// `format` without its prompt, of which it is no part.
  void add(const std::string& key, Format format);

  uint64_t hits() const;

 private:
  struct Entry {
    std::string key;
    Format format;
    size_t bytes = 0;
  };

  mutable std::mutex mutex_;
  std::list<Entry> entries_;  ///< used last first
  size_t bytes_ = 0;
  uint64_t hits_ = 0;
};

}  // namespace pie::model
