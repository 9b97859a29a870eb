#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace pie {

/// The persistent key-value pairs of programs, per user (inferlet-host.md, section 4). Thread-safe;
/// nothing here blocks. `done` comes once, from any thread, at once or later; a user's calls take
/// effect in their order.
class KeyValues {
 public:
  template <class T>
  using Done = std::function<void(Result<T>)>;
  /// What a key counts beside its bytes in the bound of list_keys().
  static constexpr uint64_t kListedKeyBytes = 64;

  virtual ~KeyValues() = default;
  virtual void get(const std::string& user, std::string key,
                   Done<std::optional<std::string>> done) = 0;
  /// kResourceExhausted when the user keeps as much as is allowed.
  virtual void set(const std::string& user, std::string key, std::string value,
                   Done<void> done) = 0;
  /// A key that is not there is removed already.
  virtual void remove(const std::string& user, std::string key, Done<void> done) = 0;
  virtual void exists(const std::string& user, std::string key, Done<bool> done) = 0;
  /// kResourceExhausted when they are more than `bytes_max` bytes, kListedKeyBytes for each
  /// counted.
  virtual void list_keys(const std::string& user, uint64_t bytes_max,
                         Done<std::vector<std::string>> done) = 0;
};

}  // namespace pie
