#include "instance/local_bus.h"

#include <vector>

namespace pie::instance {

void LocalBus::broadcast(const std::string& user, const std::string& topic,
                         const Message& message) {
  std::vector<std::shared_ptr<Subscription>> receivers;
  {
    const std::lock_guard lock(mutex_);
    const auto found = topics_.find({user, topic});
    if (found == topics_.end()) return;
    for (const auto& [token, subscription] : found->second) receivers.push_back(subscription);
  }
  for (const auto& receiver : receivers) {
    const std::lock_guard lock(receiver->mutex);
    if (receiver->live) receiver->deliver(message);
  }
}

Result<uint64_t> LocalBus::subscribe(const std::string& user, const std::string& topic,
                                     Deliver deliver) {
  auto subscription = std::make_shared<Subscription>();
  subscription->deliver = std::move(deliver);
  const std::lock_guard lock(mutex_);
  auto& subscribers = topics_[{user, topic}];
  if (subscribers.size() >= kSubscribersMax)
    return Error{ErrorCode::kResourceExhausted, "subscribers of one topic: used " +
                                                    std::to_string(subscribers.size()) +
                                                    ", allowed " + std::to_string(kSubscribersMax)};
  const uint64_t token = next_token_++;
  subscribers.emplace(token, std::move(subscription));
  by_token_.emplace(token, Topic{user, topic});
  return token;
}

void LocalBus::unsubscribe(uint64_t token) {
  std::shared_ptr<Subscription> subscription;
  {
    const std::lock_guard lock(mutex_);
    const auto found = by_token_.find(token);
    if (found == by_token_.end()) return;
    const auto topic = topics_.find(found->second);
    subscription = std::move(topic->second.at(token));
    topic->second.erase(token);
    if (topic->second.empty()) topics_.erase(topic);
    by_token_.erase(found);
  }
  const std::lock_guard lock(subscription->mutex);
  subscription->live = false;
}

}  // namespace pie::instance
