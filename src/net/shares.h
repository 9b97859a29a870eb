#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace pie::net {

/// Counts the places that each holder (an address, a user) has of what all of them use, so that no
/// one takes every place. Thread-safe; outlives the places it gave.
class Shares {
 public:
  /// `max` of one holder; 0 = unlimited.
  explicit Shares(uint32_t max) : max_(max) {}

  /// One place, given back by the destructor.
  class Place {
   public:
    Place(Shares& all, std::string holder) : all_(all), holder_(std::move(holder)) {}
    ~Place() { all_.leave(holder_); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    Shares& all_;
    const std::string holder_;
  };

  /// Null when the holder has as many as it may.
  std::unique_ptr<Place> enter(const std::string& holder);
  uint32_t max() const { return max_; }

 private:
  void leave(const std::string& holder);

  const uint32_t max_;
  std::mutex mutex_;
  std::map<std::string, uint32_t> counts_;
};

}  // namespace pie::net
