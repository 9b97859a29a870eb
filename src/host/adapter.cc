// inferlet:adapter: low-rank adapters from llama.cpp's GGUF files, and back.
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "base/work_queue.h"
#include "host/adapter_making.h"
#include "host/adapter_pass.h"
#include "host/blob_reading.h"
#include "host/define.h"
#include "host/guest_errors.h"
#include "host/message_objects.h"
#include "host/objects.h"
#include "model/adapter_file.h"

namespace pie::host {
namespace {

using wasm::Wait;

constexpr const char* kAdapter = "inferlet:adapter/common";
constexpr uint64_t kNameBytesMax = 1024;

Wait<> set_adapter(InstanceState& state, std::shared_ptr<PassObject> pass, uint32_t pointer) {
  pass->adapter = adapter_of("set-adapter", *pass->queue, pointer);
  return compute_under(state, std::move(pass));
}

/// A file on its way to an adapter pointer.
struct Upload {
  Upload(std::shared_ptr<QueueObject> queue_, uint32_t pointer_, std::string name_, BlobRef blob_,
         Charge charge_)
      : queue(std::move(queue_)),
        pointer(pointer_),
        name(std::move(name_)),
        blob(std::move(blob_)),
        charge(std::move(charge_)) {}

  const std::shared_ptr<QueueObject> queue;
  const uint32_t pointer;
  const std::string name;
  const BlobRef blob;
  const Charge charge;  ///< for `bytes`
  std::vector<uint8_t> bytes;
  std::unique_ptr<model::AdapterFile> file;
};

Result<std::unique_ptr<model::AdapterWork>> open(Upload& upload, Charge& charge) {
  const model::Model& model = upload.queue->service.model();
  PIE_TRY_ASSIGN(auto file, model::AdapterFile::open(std::as_bytes(std::span(upload.bytes)),
                                                     model.architecture()));
  upload.file = std::make_unique<model::AdapterFile>(std::move(file));
  PIE_TRY(charge.try_add(upload.file->size_bytes()));
  return upload.file->start_load();
}

Wait<> load(InstanceState& state, std::shared_ptr<Upload> upload) {
  auto making = make_adapter(
      state, [upload](Charge& charge) { return open(*upload, charge); },
      std::make_shared<Charge>(state.memory));
  return {
      {making->adapter}, [making, upload] {
        auto made = making->adapter->take_result();
        if (!made.ok() && !upload->name.empty())
          made = Error{made.error().code,
                       fmt::format("{} (in the adapter '{}')", made.error().message, upload->name)};
        value_or_throw(upload->queue->engine().put_adapter(
            "upload-adapter", upload->queue->id, upload->pointer, value_or_throw(std::move(made))));
      }};
}

/// Reads what is left, then loads it.
Wait<> read_on(InstanceState& state, std::shared_ptr<Upload> upload) {
  const uint64_t left = upload->blob->size() - upload->bytes.size();
  if (left == 0) return load(state, std::move(upload));
  auto piece = read_later(state, upload->blob, upload->bytes.size(),
                          std::min(left, state.limits.blob_bytes_max));
  return Wait<>::first({piece}, [&state, piece, upload = std::move(upload)]() mutable {
    const std::vector<uint8_t> bytes = piece->take();
    if (bytes.empty())
      throw wasm::GuestError("[upload-adapter] got a blob that has become shorter");
    upload->bytes.insert(upload->bytes.end(), bytes.begin(), bytes.end());
    return read_on(state, std::move(upload));
  });
}

Wait<> upload_adapter(InstanceState& state, std::shared_ptr<QueueObject> queue, uint32_t pointer,
                      std::string name, BlobObject& blob) {
  check_size("name", name.size(), kNameBytesMax);
  value_or_throw(queue->engine().adapter("upload-adapter", queue->id, pointer));
  Charge charge(state.memory);
  charge.add(blob.blob->size());
  auto upload = std::make_shared<Upload>(std::move(queue), pointer, std::move(name), blob.blob,
                                         std::move(charge));
  upload->bytes.reserve(blob.blob->size());
  return read_on(state, std::move(upload));
}

std::shared_ptr<BlobResultObject> download_adapter(InstanceState& state, QueueObject& queue,
                                                   uint32_t pointer, std::string name) {
  check_size("name", name.size(), kNameBytesMax);
  const model::AdapterRef adapter = adapter_of("download-adapter", queue, pointer);
  // The file, and its matrices on the way there.
  constexpr uint64_t kHeaderBytes = 128 << 10;
  const uint64_t bytes = adapter->a->size() + 2 * adapter->b->size() + kHeaderBytes;
  auto charge = std::make_shared<Charge>(state.memory);
  charge->add(2 * bytes);
  auto file = std::make_shared<Answer<std::vector<uint8_t>>>();
  value_or_throw(state.services.background.post_once(
      state.user,
      [adapter, file, charge, name = std::move(name), &model = queue.service.model()] {
        file->set(guarded("download-adapter", [&]() -> Result<std::vector<uint8_t>> {
          return model::write_adapter(*adapter, model.architecture(), name);
        }));
      },
      state.cpu_quota));
  return std::make_shared<BlobResultObject>(
      file, [file, charge, taken = false]() mutable -> std::optional<Mailbox<BlobRef>::Message> {
        if (!file->ready() || std::exchange(taken, true)) return std::nullopt;
        return Mailbox<BlobRef>::Message{make_memory_blob(file->take()), std::move(*charge)};
      });
}

}  // namespace

void define_adapter(wasm::HostFunctions& functions) {
  functions.add(kAdapter, "set-adapter", set_adapter);
  functions.add(kAdapter, "download-adapter", download_adapter);
  functions.add(kAdapter, "upload-adapter", upload_adapter);
}

}  // namespace pie::host
