#include <memory>
#include <utility>
#include <vector>

#include "wasi/interfaces.h"
#include "wasm/host_functions.h"

namespace pie::wasi {
namespace {

using wasm::Pollable;
using Indices = std::vector<uint32_t>;

wasm::Wait<> block(Pollable& self) { return wasm::Wait<>({self.event()}); }

wasm::Wait<Indices> poll(const std::vector<std::shared_ptr<Pollable>>& pollables) {
  std::vector<wasm::ReadinessRef> events;
  events.reserve(pollables.size());
  for (const auto& pollable : pollables) events.push_back(pollable->event());
  if (events.empty())
    throw wasm::GuestError("got an empty list of pollables, expected at least one");
  return {std::move(events), [](const Indices& ready) { return ready; }};
}

}  // namespace

/// wasi:io/poll: everything that programs wait on, ours and WASI's, goes through these.
void define_poll(wasm::HostFunctions& functions) {
  const std::string kPoll = "wasi:io/poll";
  functions.resource(Pollable::kResource);
  functions.add(kPoll, "[method]pollable.ready",
                [](Pollable& self) { return self.event()->ready(); });
  functions.add(kPoll, "[method]pollable.block", block);
  functions.add(kPoll, "poll", poll);
}

}  // namespace pie::wasi
