#include "protocol/delivery.h"

#include <algorithm>
#include <utility>

namespace pie::protocol {
namespace {

std::string payload_of(uint64_t count) { return "delivery " + std::to_string(count); }

}  // namespace

void Delivery::sent(const std::string& instance_id, uint64_t seq, uint64_t bytes) {
  uint64_t& last = sent_[instance_id];
  last = std::max(last, seq);
  bytes_since_ += bytes;
}

std::optional<std::string> Delivery::ping(uint64_t now_ns) {
  if (under_way_ || sent_.empty()) return std::nullopt;
  const bool waited = ping_count_ == 0 || now_ns >= pinged_ns_ + pacing_.distance_ns;
  if (!waited && !expedited_ && bytes_since_ < pacing_.bytes_max) return std::nullopt;
  asked_ = std::exchange(sent_, {});
  bytes_since_ = 0;
  expedited_ = false;
  under_way_ = true;
  pinged_ns_ = now_ns;
  return payload_of(++ping_count_);
}

std::optional<uint64_t> Delivery::wake_at_ns() const {
  if (under_way_ || sent_.empty()) return std::nullopt;
  return pinged_ns_ + pacing_.distance_ns;
}

std::vector<Delivered> Delivery::pong(std::string_view payload) {
  if (!under_way_ || payload != payload_of(ping_count_)) return {};
  under_way_ = false;
  std::vector<Delivered> proven;
  for (auto& [id, seq] : asked_) proven.push_back({id, seq});
  asked_.clear();
  return proven;
}

void Delivery::forget(const std::string& instance_id) {
  sent_.erase(instance_id);
  asked_.erase(instance_id);
}

}  // namespace pie::protocol
