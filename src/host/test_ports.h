#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/instance_ports.h"
#include "ports/bus.h"
#include "ports/key_values.h"

namespace pie::host::test {

/// Records what an instance says. Thread-safe.
class RecordingPorts final : public InstancePorts {
 public:
  void write_stdout(std::string_view bytes) override { append(out_, bytes); }
  void write_stderr(std::string_view bytes) override { append(err_, bytes); }
  void send_message(std::string text) override {
    std::lock_guard lock(mutex_);
    messages_.push_back(std::move(text));
  }
  void send_blob(std::vector<uint8_t> bytes) override {
    std::lock_guard lock(mutex_);
    blobs_.push_back(std::move(bytes));
  }
  uint64_t writable_bytes() override {
    std::lock_guard lock(mutex_);
    return writable_bytes_;
  }
  void on_writable(std::function<void()> wake) override {
    {
      std::lock_guard lock(mutex_);
      if (writable_bytes_ == 0) return wakes_.push_back(std::move(wake));
    }
    wake();
  }
  Result<void> check_room(uint64_t) override { return {}; }
  std::shared_ptr<Children> children() override { return nullptr; }
  std::optional<std::string> parent() const override { return std::nullopt; }
  void on_end(End end) override {
    std::lock_guard lock(mutex_);
    ends_.push_back(std::move(end));
  }

  void set_writable_bytes(uint64_t bytes) {
    std::vector<std::function<void()>> wakes;
    {
      std::lock_guard lock(mutex_);
      writable_bytes_ = bytes;
      if (bytes > 0) wakes.swap(wakes_);
    }
    for (auto& wake : wakes) wake();
  }
  size_t waiting_count() const {
    std::lock_guard lock(mutex_);
    return wakes_.size();
  }
  std::string out() const { return copy(out_); }
  std::string err() const { return copy(err_); }
  std::vector<std::string> messages() const { return copy(messages_); }
  std::vector<std::vector<uint8_t>> blobs() const { return copy(blobs_); }
  std::vector<End> ends() const { return copy(ends_); }

 private:
  void append(std::string& to, std::string_view bytes) {
    std::lock_guard lock(mutex_);
    to += bytes;
  }
  template <class T>
  T copy(const T& value) const {
    std::lock_guard lock(mutex_);
    return value;
  }

  mutable std::mutex mutex_;
  std::string out_, err_;
  std::vector<std::string> messages_;
  std::vector<std::vector<uint8_t>> blobs_;
  std::vector<End> ends_;
  uint64_t writable_bytes_ = 1 << 20;
  std::vector<std::function<void()>> wakes_;
};

/// A key-value store in memory; it answers at once, or when the test says so.
class MemoryKvs final : public KeyValues {
 public:
  void get(const std::string& user, std::string key,
           Done<std::optional<std::string>> done) override {
    answer([this, user, key, done] {
      const auto it = values_[user].find(key);
      if (it == values_[user].end()) return done(std::optional<std::string>());
      done(std::optional<std::string>(it->second));
    });
  }
  void set(const std::string& user, std::string key, std::string value, Done<void> done) override {
    answer([this, user, key, value, done] {
      if (value == "refuse")
        return done(Error{ErrorCode::kResourceExhausted, "[store-set] too much"});
      values_[user][key] = value;
      done({});
    });
  }
  void remove(const std::string& user, std::string key, Done<void> done) override {
    answer([this, user, key, done] {
      values_[user].erase(key);
      done({});
    });
  }
  void exists(const std::string& user, std::string key, Done<bool> done) override {
    answer([this, user, key, done] { done(values_[user].count(key) > 0); });
  }
  void list_keys(const std::string& user, uint64_t, Done<std::vector<std::string>> done) override {
    answer([this, user, done] {
      std::vector<std::string> keys;
      for (const auto& [key, value] : values_[user]) keys.push_back(key);
      done(std::move(keys));
    });
  }

  /// Answers nothing until release().
  void hold() {
    std::lock_guard lock(mutex_);
    holding_ = true;
  }
  size_t held_count() const {
    std::lock_guard lock(mutex_);
    return held_.size();
  }
  void release() {
    std::lock_guard lock(mutex_);
    holding_ = false;
    for (auto& one : std::exchange(held_, {})) one();
  }

 private:
  void answer(std::function<void()> work) {
    std::lock_guard lock(mutex_);
    if (holding_) return held_.push_back(std::move(work));
    work();
  }

  mutable std::mutex mutex_;
  bool holding_ = false;
  std::vector<std::function<void()>> held_;
  std::map<std::string, std::map<std::string, std::string>> values_;
};

/// Topics in memory.
class MemoryBus final : public Bus {
 public:
  void broadcast(const std::string& user, const std::string& topic,
                 const Message& message) override {
    std::lock_guard lock(mutex_);
    for (const auto& [token, one] : subscribers_)
      if (one.user == user && one.topic == topic) one.deliver(message);
  }
  Result<uint64_t> subscribe(const std::string& user, const std::string& topic,
                             Deliver deliver) override {
    std::lock_guard lock(mutex_);
    subscribers_[++last_token_] = {user, topic, std::move(deliver)};
    return last_token_;
  }
  void unsubscribe(uint64_t token) override {
    std::lock_guard lock(mutex_);
    subscribers_.erase(token);
  }
  size_t count() const {
    std::lock_guard lock(mutex_);
    return subscribers_.size();
  }

 private:
  struct Subscriber {
    std::string user, topic;
    Deliver deliver;
  };
  mutable std::mutex mutex_;
  uint64_t last_token_ = 0;
  std::map<uint64_t, Subscriber> subscribers_;
};

}  // namespace pie::host::test
