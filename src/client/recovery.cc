#include "client/recovery.h"

#include <algorithm>
#include <random>
#include <utility>

namespace pie::client {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstDelay{100};
constexpr milliseconds kPatience{60'000};

/// Before try `number` (from 1) of a row; between half of it and all, so that many clients of one
/// server do not come back in step.
milliseconds delay_before(uint32_t number, milliseconds delay_max) {
  constexpr uint32_t kDoublingsMax = 20;
  const auto doubled = kFirstDelay * (1 << std::min(number - 1, kDoublingsMax));
  const milliseconds most = std::min<milliseconds>(doubled, delay_max);
  std::random_device device;
  std::uniform_int_distribution<int64_t> range(most.count() / 2, most.count());
  return milliseconds(range(device));
}

}  // namespace

Result<milliseconds> ConnectAttempts::failed(Error error) {
  const bool is_last = ++count_ >= options_.attempts;
  if (is_last || error.code != ErrorCode::kUnavailable) return error;
  return delay_before(count_, options_.delay_max);
}

Result<milliseconds> CallLosses::lost(const Error& error, milliseconds tried_for) {
  if (error.code != ErrorCode::kUnavailable) return error;
  if (kind_ == Kind::kWaits && tried_for > kPatience) count_ = 0;
  if (++count_ > options_.attempts)
    return Error{ErrorCode::kUnavailable,
                 "the connection was lost " + std::to_string(count_) +
                     " times during this call, which may be what ends it: " + error.message};
  if (count_ == 1) return milliseconds(0);
  return delay_before(count_ - 1, options_.delay_max);
}

Error instance_gone(const std::string& instance_id) {
  return {ErrorCode::kFailedPrecondition,
          "instance " + instance_id + " is gone: its end was delivered, or the server forgot it"};
}

}  // namespace pie::client
