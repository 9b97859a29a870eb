#include <utility>
#include <vector>

#include "wasi/interfaces.h"
#include "wasm/call.h"

namespace pie::wasi {

using wasm::Call;
using wasm::GuestError;
using wasm::Pollable;
using wasm::Value;
using wasm::Wait;

/// wasi:io/poll: everything that programs wait on, ours and WASI's, goes through these.
void define_poll(wasm::Registry& registry) {
  const std::string kPoll = "wasi:io/poll";
  registry.resource(kPoll, "pollable");
  registry.function(kPoll, "[method]pollable.ready", [](Call& call) {
    call.ret(Value::boolean(call.object<Pollable>(0)->event()->ready()));
  });
  registry.async_function(kPoll, "[method]pollable.block", [](Call& call) {
    return Wait{{call.object<Pollable>(0)->event()}, nullptr};
  });
  registry.async_function(kPoll, "poll", [](Call& call) {
    Wait wait;
    for (const auto& pollable : call.objects<Pollable>(0)) wait.events.push_back(pollable->event());
    if (wait.events.empty())
      throw GuestError("got an empty list of pollables, expected at least one");
    wait.finish = [](const std::vector<uint32_t>& ready) { return Value::u32s(ready); };
    return wait;
  });
}

}  // namespace pie::wasi
