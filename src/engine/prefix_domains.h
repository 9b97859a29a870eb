#pragma once
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>

namespace pie::engine {

/// Between whom what was computed is shared.
enum class PrefixSharing { kNobody, kUser, kEverybody };

/// Domains of the prefix cache: the instances of one user share what they compute. Users
/// without an open instance keep theirs while they are among the last kIdleMax of these; then what
/// they have computed is found no more. Guarded by the engine's lock.
class PrefixDomains {
 public:
  static constexpr size_t kIdleMax = 1024;

  explicit PrefixDomains(PrefixSharing sharing) : sharing_(sharing) {}

  /// The user's domain, one instance more of it. 0: nothing is shared.
  uint32_t open(const std::string& user);
  /// One instance less.
  void close(const std::string& user);
  size_t size() const { return users_.size(); }

 private:
  struct User {
    uint32_t domain = 0;
    uint32_t instances = 0;
    std::list<std::string>::iterator idle;  // valid while there are no instances
  };

  const PrefixSharing sharing_;
  std::unordered_map<std::string, User> users_;
  std::list<std::string> idle_;  // the longest without an instance first
  uint32_t last_ = 0;
};

}  // namespace pie::engine
