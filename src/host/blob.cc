#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "host/blob_reading.h"
#include "host/define.h"
#include "host/guest_errors.h"
#include "host/message_objects.h"
#include "host/objects.h"

namespace pie::host {
namespace {

using wasm::Call;
using wasm::Value;
using wasm::Wait;

constexpr const char* kCommon = "inferlet:core/common";

void blob_constructor(Call& call) {
  BlobRef blob = make_memory_blob(call.bytes(0));
  Charge charge(state_of(call).memory);
  charge.add(blob->memory_bytes());
  call.ret(Value::handle(kBlobResource,
                         std::make_shared<BlobObject>(std::move(blob), std::move(charge))));
}

Wait blob_read(Call& call) {
  InstanceState& state = state_of(call);
  auto self = call.object<BlobObject>(0);
  const uint64_t offset = std::min(call.u64(1), self->blob->size());
  const uint64_t n = std::min(call.u64(2), self->blob->size() - offset);
  if (n > state.limits.blob_bytes_max)
    throw wasm::GuestError(fmt::format("[n] got {} bytes, expected at most {}: read in pieces", n,
                                       state.limits.blob_bytes_max));
  auto bytes = read_later(state, self->blob, offset, n);
  return {{bytes}, [bytes](const std::vector<uint32_t>&) { return Value::bytes(bytes->take()); }};
}

void blob_result_get(Call& call) {
  auto blob = call.object<BlobResultObject>(0)->receiver->take();
  if (!blob) return call.ret(Value::none());
  call.ret(Value::some(Value::handle(
      kBlobResource,
      std::make_shared<BlobObject>(std::move(blob->content), std::move(blob->charge)))));
}

}  // namespace

std::shared_ptr<Answer<std::vector<uint8_t>>> read_later(InstanceState& state, const BlobRef& blob,
                                                         uint64_t offset, uint64_t n) {
  auto answer = std::make_shared<Answer<std::vector<uint8_t>>>();
  if (blob->memory_bytes() >= blob->size()) {
    answer->set(blob->read(offset, n));
    return answer;
  }
  auto charge = std::make_shared<Charge>(state.memory);
  charge->add(n);
  value_or_throw(state.services.disk.post_once(
      state.user,
      [answer, charge, blob, offset, n] {
        answer->set(guarded("blob", [&] { return blob->read(offset, n); }));
        charge->release();  // it is the program's in a moment
      },
      state.cpu_quota));
  return answer;
}

void define_blobs(wasm::Registry& registry) {
  registry.resource(kCommon, "blob");
  registry.function(kCommon, "[constructor]blob", blob_constructor);
  registry.async_function(kCommon, "[method]blob.read", blob_read);
  registry.function(kCommon, "[method]blob.size", [](Call& call) {
    call.ret(Value::u64(call.object<BlobObject>(0)->blob->size()));
  });
  registry.resource(kCommon, "blob-result");
  registry.function(kCommon, "[method]blob-result.pollable", [](Call& call) {
    call.ret(wasm::make_pollable(call.object<BlobResultObject>(0)->receiver->event()));
  });
  registry.function(kCommon, "[method]blob-result.get", blob_result_get);
}

}  // namespace pie::host
