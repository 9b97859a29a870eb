#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "wasm/runtime.h"
#include "wasm/text_format.h"

namespace pie::wasm {

/// A component from WebAssembly text.
inline std::vector<uint8_t> from_text(const std::string& wat) {
  auto binary = from_text_format(wat);
  EXPECT_TRUE(binary.ok()) << binary.error().message;
  return binary.ok() ? std::move(*binary) : std::vector<uint8_t>();
}

/// The parts, one after another.
inline std::string joined(std::initializer_list<std::string_view> parts) {
  std::string whole;
  for (const std::string_view part : parts) whole.append(part);
  return whole;
}

/// A name for the compile cache, the same for the same text.
inline std::string hash_of(const std::string& wat) {
  return std::to_string(std::hash<std::string>{}(wat));
}

/// A component that exports inferlet:core/run and imports nothing; `body` is the text of its core
/// module, which exports "memory" and "run" (returns a pointer to a result<_, string>).
inline std::string standalone(const std::string& body) {
  return joined({"(component (core module $m ", body,
                 R"() (core instance $i (instantiate $m))
  (func $run (result (result (error string))) (canon lift (core func $i "run") (memory (core memory $i "memory"))))
  (instance $inst (export "run" (func $run)))
  (export "inferlet:core/run" (instance $inst))))"});
}

/// Polls `condition` until it holds, for a generous time.
inline bool eventually(const std::function<bool()>& condition,
                       std::chrono::seconds patience = std::chrono::seconds(60)) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return condition();
}

/// How an instance ended, for a test to wait on.
class Ending {
 public:
  std::function<void(Outcome)> callback() {
    return [state = state_](Outcome outcome) {
      std::lock_guard lock(state->mutex);
      state->outcomes.push_back(std::move(outcome));
      state->changed.notify_all();
    };
  }
  bool ended() const { return count() > 0; }
  size_t count() const {
    std::lock_guard lock(state_->mutex);
    return state_->outcomes.size();
  }
  Outcome wait() const {
    std::unique_lock lock(state_->mutex);
    const bool came = state_->changed.wait_for(lock, std::chrono::seconds(60),
                                               [this] { return !state_->outcomes.empty(); });
    if (came) return state_->outcomes.front();
    ADD_FAILURE() << "the instance did not end in a minute";
    return {Outcome::Kind::kFault, "timeout", 0};
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Outcome> outcomes;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

/// A folder that goes with the test.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "pie-wasm-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace pie::wasm
