#include "instance/admission.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

namespace pie::instance {

struct Admission::Counts {
  std::mutex mutex;
  std::condition_variable none;
  std::map<std::string, uint32_t> of_users;
  size_t all = 0;
  bool is_closed = false;
};

Admission::Place::~Place() {
  const std::lock_guard lock(counts_->mutex);
  const auto found = counts_->of_users.find(user_);
  if (--found->second == 0) counts_->of_users.erase(found);
  if (--counts_->all == 0) counts_->none.notify_all();
}

Admission::Admission(uint32_t user_max)
    : user_max_(user_max), counts_(std::make_shared<Counts>()) {}

Result<std::unique_ptr<Admission::Place>> Admission::enter(const std::string& user) {
  const std::lock_guard lock(counts_->mutex);
  if (counts_->is_closed) return stopping_error();
  const auto found = counts_->of_users.find(user);
  const uint32_t running = found == counts_->of_users.end() ? 0 : found->second;
  if (running >= user_max_)
    return Error{ErrorCode::kResourceExhausted,
                 "[launch] got " + std::to_string(running) +
                     " running instances of this user, expected fewer than " +
                     std::to_string(user_max_) + "; terminate some, or wait for their ends"};
  auto place = std::make_unique<Place>(counts_, user);
  ++counts_->of_users[user];
  ++counts_->all;
  return place;
}

size_t Admission::count() const {
  const std::lock_guard lock(counts_->mutex);
  return counts_->all;
}

void Admission::close() {
  const std::lock_guard lock(counts_->mutex);
  counts_->is_closed = true;
}

void Admission::wait_for_none() {
  std::unique_lock lock(counts_->mutex);
  counts_->none.wait(lock, [this] { return counts_->all == 0; });
}

Error stopping_error() { return {ErrorCode::kUnavailable, "[launch] the server is stopping"}; }

}  // namespace pie::instance
