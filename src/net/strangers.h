#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace pie::net {

/// Counts the connections of each network address whose peers have not said who they are, so that
/// one address cannot take every connection. Thread-safe; outlives the places it gave.
class Strangers {
 public:
  explicit Strangers(uint32_t per_address_max) : per_address_max_(per_address_max) {}

  /// One connection's place among them, given back by the destructor.
  class Place {
   public:
    Place(Strangers& all, std::string address) : all_(all), address_(std::move(address)) {}
    ~Place() { all_.leave(address_); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    Strangers& all_;
    const std::string address_;
  };

  /// Null when the address has as many as it may.
  std::unique_ptr<Place> enter(const std::string& address);

 private:
  void leave(const std::string& address);

  const uint32_t per_address_max_;
  std::mutex mutex_;
  std::map<std::string, uint32_t> counts_;
};

}  // namespace pie::net
