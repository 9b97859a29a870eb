#include "net/receive_budget.h"

#include <utility>

namespace pie::net {

bool ReceiveBudget::Pool::admits(const Claim& claim, uint64_t more) const {
  const bool fits = bytes_max == 0 || (more <= bytes_max && held <= bytes_max - more);
  return fits || exceeding == nullptr || exceeding == &claim;
}

void ReceiveBudget::Pool::take(Claim& claim, uint64_t more) {
  held += more;
  if (bytes_max > 0 && held > bytes_max) exceeding = &claim;
}

void ReceiveBudget::Pool::give_back(const Claim& claim, uint64_t bytes) {
  held -= bytes;
  if (exceeding == &claim) exceeding = nullptr;
  wake_next();
}

void ReceiveBudget::Pool::wake_next() {
  if (!line.empty()) line.front()->wake_();
}

std::unique_ptr<ReceiveBudget::Claim> ReceiveBudget::claim(const std::string& user,
                                                           std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  Pool* of_user = nullptr;
  if (!user.empty()) {
    of_user = &users_.try_emplace(user, user_bytes_max_).first->second;
    ++of_user->claims;
  }
  return std::make_unique<Claim>(*this, user, of_user, std::move(wake));
}

uint64_t ReceiveBudget::held_bytes() const {
  const std::lock_guard lock(mutex_);
  return total_.held;
}

bool ReceiveBudget::Claim::grow(uint64_t more) {
  const std::lock_guard lock(budget_.mutex_);
  Pool* full = nullptr;
  if (of_user_ && !of_user_->admits(*this, more)) full = of_user_;
  if (!full && !budget_.total_.admits(*this, more)) full = &budget_.total_;
  if (full && full == waits_for_) return false;  // it keeps its place
  Pool* const waited_for = waits_for_;
  leave_line();
  if (full) {
    waits_for_ = full;
    place_ = full->line.insert(full->line.end(), this);
  } else {
    held_ += more;
    budget_.total_.take(*this, more);
    if (of_user_) of_user_->take(*this, more);
  }
  if (waited_for) waited_for->wake_next();  // there may be room for more than one
  return !full;
}

void ReceiveBudget::Claim::release() {
  const std::lock_guard lock(budget_.mutex_);
  release_locked();
}

void ReceiveBudget::Claim::release_locked() {
  leave_line();
  const uint64_t held = std::exchange(held_, 0);
  if (held == 0) return;
  if (of_user_) of_user_->give_back(*this, held);
  budget_.total_.give_back(*this, held);
}

void ReceiveBudget::Claim::leave_line() {
  if (waits_for_) std::exchange(waits_for_, nullptr)->line.erase(place_);
}

ReceiveBudget::Claim::~Claim() {
  const std::lock_guard lock(budget_.mutex_);
  Pool* const waited_for = waits_for_;
  release_locked();
  if (waited_for) waited_for->wake_next();
  if (of_user_ && --of_user_->claims == 0) budget_.users_.erase(user_);
}

}  // namespace pie::net
