#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace pie::instance {

/// Who may have one more instance that runs, or is being launched. Thread-safe; its lock is held
/// for a look-up alone.
class Admission {
  struct Counts;

 public:
  /// A user's place, from the launch of an instance to its end; it may outlive the admission.
  class Place {
   public:
    Place(std::shared_ptr<Counts> counts, std::string user)
        : counts_(std::move(counts)), user_(std::move(user)) {}
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    const std::shared_ptr<Counts> counts_;
    const std::string user_;
  };

  /// `user_max`: instances of one user at once.
  explicit Admission(uint32_t user_max);

  /// kResourceExhausted when the user has too many; kUnavailable after close().
  Result<std::unique_ptr<Place>> enter(const std::string& user);
  size_t count() const;
  void close();
  /// Waits until every place was left.
  void wait_for_none();

 private:
  const uint32_t user_max_;
  const std::shared_ptr<Counts> counts_;
};

/// What everybody is told who comes after that.
Error stopping_error();

}  // namespace pie::instance
