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

constexpr const char* kCommon = "inferlet:core/common";

std::shared_ptr<BlobObject> construct(InstanceState& state, std::vector<uint8_t> bytes) {
  BlobRef blob = make_memory_blob(std::move(bytes));
  Charge charge(state.memory);
  charge.add(blob->memory_bytes());
  return std::make_shared<BlobObject>(std::move(blob), std::move(charge));
}

wasm::Wait<std::vector<uint8_t>> read(InstanceState& state, BlobObject& self, uint64_t offset,
                                      uint64_t n) {
  offset = std::min(offset, self.blob->size());
  n = std::min(n, self.blob->size() - offset);
  if (n > state.limits.blob_bytes_max)
    throw wasm::GuestError(fmt::format("[n] got {} bytes, expected at most {}: read in pieces", n,
                                       state.limits.blob_bytes_max));
  auto bytes = read_later(state, self.blob, offset, n);
  return {{bytes}, [bytes] { return bytes->take(); }};
}

std::optional<std::shared_ptr<BlobObject>> result_get(BlobResultObject& self) {
  auto blob = self.take();
  if (!blob) return std::nullopt;
  return std::make_shared<BlobObject>(std::move(blob->content), std::move(blob->charge));
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

void define_blobs(wasm::HostFunctions& functions) {
  functions.resource(BlobObject::kResource);
  functions.add(kCommon, "[constructor]blob", construct);
  functions.add(kCommon, "[method]blob.read", read);
  functions.add(kCommon, "[method]blob.size", [](BlobObject& self) { return self.blob->size(); });
  functions.resource(BlobResultObject::kResource);
  functions.add(kCommon, "[method]blob-result.pollable",
                [](BlobResultObject& self) { return self.event; });
  functions.add(kCommon, "[method]blob-result.get", result_get);
}

}  // namespace pie::host
