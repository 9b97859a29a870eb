#include "protocol/delivery.h"

#include <algorithm>
#include <utility>

namespace pie::protocol {
namespace {

constexpr size_t kPingsMax = 16;  ///< under way; further ends wait for a pong

std::string payload_of(uint64_t count) { return "delivery " + std::to_string(count); }

}  // namespace

void Delivery::sent(const std::string& instance_id, uint64_t seq, uint64_t bytes) {
  uint64_t& last = sent_[instance_id];
  last = std::max(last, seq);
  bytes_since_ += bytes;
}

std::optional<std::string> Delivery::ping(uint64_t now_ns) {
  if (sent_.empty() || asked_.size() >= kPingsMax) return std::nullopt;
  const bool waited = ping_count_ == 0 || now_ns >= pinged_ns_ + pacing_.distance_ns;
  const bool due = asked_.empty() && (waited || bytes_since_ >= pacing_.bytes_max);
  if (!due && !expedited_) return std::nullopt;
  asked_.push_back({++ping_count_, std::exchange(sent_, {})});
  bytes_since_ = 0;
  expedited_ = false;
  pinged_ns_ = now_ns;
  return payload_of(ping_count_);
}

std::optional<uint64_t> Delivery::wake_at_ns() const {
  if (!asked_.empty() || sent_.empty()) return std::nullopt;
  return pinged_ns_ + pacing_.distance_ns;
}

std::vector<Delivered> Delivery::pong(std::string_view payload) {
  const auto answered = std::find_if(asked_.begin(), asked_.end(), [&](const Asked& one) {
    return payload == payload_of(one.ping);
  });
  if (answered == asked_.end()) return {};
  std::vector<Delivered> proven;
  for (auto one = asked_.begin(); one <= answered; ++one)
    for (const auto& [id, seq] : one->sent) proven.push_back({id, seq});
  asked_.erase(asked_.begin(), answered + 1);
  return proven;
}

void Delivery::forget(const std::string& instance_id) {
  sent_.erase(instance_id);
  for (auto& one : asked_) one.sent.erase(instance_id);
}

}  // namespace pie::protocol
