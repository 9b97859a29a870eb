// Makes one host call with the largest arguments that it takes, again and again: the first argument
// names it. Sends the longest that one call took, in milliseconds, after the first few; then goes
// on until it is terminated.
#include <pie/inferlet.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

namespace abi = inferlet::abi;
using Clock = std::chrono::steady_clock;
using Call = std::function<void()>;

constexpr uint32_t kNumbers = 430'000;  // some 20 MiB at 48 bytes for each
constexpr uint32_t kHandles = 32'768;
constexpr uint32_t kBlobBytes = 16 << 20;

inferlet::Queue& queue() {
  static inferlet::Queue one = inferlet::default_model()->create_queue();
  return one;
}

/// A pass that goes at once.
struct Pass {
  Pass() : handle(abi::create_forward_pass(queue().handle())) {}
  ~Pass() { abi::forward_pass_drop(handle); }
  const abi::Handle handle;
};

/// A list of the same pollable, which never fires, and behind it one that is ready.
Call poll_the_same() {
  const abi::Handle waits = abi::receive_result_pollable(abi::message_receive());
  const abi::Handle ready = abi::debug_query_pollable(abi::runtime_debug_query("", 0));
  std::vector<abi::Handle> list(kHandles - 1, waits);
  list.push_back(ready);
  return [list] {
    abi::U32s found;
    abi::poll(list.data(), list.size(), &found);
    std::free(found.data);
  };
}

const std::map<std::string, Call (*)()> kCalls = {
    {"poll", poll_the_same},
    {"numbers",
     [] {
       return Call([numbers = std::vector<uint32_t>(kNumbers)] {
         abi::kv_cache(Pass().handle, numbers.data(), kNumbers, 1);
       });
     }},
    {"rows",
     [] {
       return Call([rows = std::vector<abi::Slice<const uint32_t>>(kNumbers)] {
         abi::attention_mask(Pass().handle, rows.data(), kNumbers);
       });
     }},
    {"blob",
     [] {
       return Call([bytes = std::vector<uint8_t>(kBlobBytes)] {
         abi::blob_drop(abi::blob_new(bytes.data(), kBlobBytes));
       });
     }},
    {"broadcast",
     [] {
       static std::vector<inferlet::Subscription> subscribers;
       for (int i = 0; i < 255; ++i) subscribers.emplace_back("t");
       return Call([text = std::string(1 << 20, 'x')] { inferlet::broadcast("t", text); });
     }},
    {"messages",
     [] {
       return Call([messages = std::vector<abi::ChatMessage>(16'000)] {
         abi::TextResult result;
         abi::chat_render(inferlet::default_model()->handle(), messages.data(), messages.size(), 1,
                          &result);
       });
     }},
    {"return",
     [] { return Call([text = std::string(16 << 20, 'x')] { inferlet::set_return(text); }); }},
    {"vocabulary",
     [] { return Call([] { inferlet::default_model()->tokenizer().vocabulary(); }); }},
    {"keys", [] { return Call([] { inferlet::kvs::list_keys(); }); }},
    {"values",
     [] {
       return Call([value = std::string(1 << 20, 'x')] { inferlet::kvs::set("key", value); });
     }},
};

}  // namespace

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  const auto found = kCalls.find(arguments.empty() ? "" : arguments[0]);
  if (found == kCalls.end()) return inferlet::fail("no such call");
  const Call call = found->second();
  constexpr int kMeasured = 5;
  double longest_ms = 0;
  for (int i = 0;; ++i) {
    const auto begin = Clock::now();
    call();
    const std::chrono::duration<double, std::milli> took = Clock::now() - begin;
    longest_ms = std::max(longest_ms, took.count());
    if (i == kMeasured) inferlet::send(std::to_string(longest_ms));
  }
}
