#include <chrono>

#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/objects.h"

namespace pie::host {
namespace {

using wasm::Call;
using wasm::Value;

constexpr const char* kSnapshot = "pie:context/snapshot";

/// Something that the engine answers later. Its fields are written before fire(), read after
/// ready().
template <class T>
struct Answer final : wasm::Event {
  std::optional<Result<T>> result;
  void set(Result<T> value) {
    result.emplace(std::move(value));
    fire();
  }
};

Value failure(const Error& error) { return Value::err(Value::string(error.message)); }

wasm::Wait save(Call& call) {
  auto queue = call.object<QueueObject>(0);
  engine::SnapshotRequest request;
  request.name = std::string(call.string(1));
  request.pages = call.u32s(2);
  request.last_page_len = call.u32(3);
  request.tokens = call.u32s(4);
  request.ttl_s = call.u64(5);
  request.is_pinned = call.boolean(6);
  auto answer = std::make_shared<Answer<void>>();
  Result<void> accepted = queue->engine().save_snapshot(
      queue->id, std::move(request), [answer](Result<void> result) { answer->set(result); });
  if (!accepted.ok()) answer->set(std::move(accepted));
  return {{answer}, [answer](const std::vector<uint32_t>&) {
            return answer->result->ok() ? Value::ok() : failure(answer->result->error());
          }};
}

Value loaded_value(const engine::LoadedSnapshot& loaded) {
  std::vector<std::pair<std::string, Value>> fields;
  fields.emplace_back("pages", Value::u32s(loaded.pages));
  fields.emplace_back("last-page-len", Value::u32(loaded.last_page_len));
  fields.emplace_back("tokens", Value::u32s(loaded.tokens));
  return Value::record(std::move(fields));
}

wasm::Wait load(Call& call) {
  auto queue = call.object<QueueObject>(0);
  auto answer = std::make_shared<Answer<engine::LoadedSnapshot>>();
  Result<void> accepted = queue->engine().load_snapshot(
      queue->id, std::string(call.string(1)),
      [answer](Result<engine::LoadedSnapshot> result) { answer->set(std::move(result)); });
  if (!accepted.ok()) answer->set(accepted.error());
  return {{answer}, [answer](const std::vector<uint32_t>&) {
            if (!answer->result->ok()) return failure(answer->result->error());
            return Value::ok(loaded_value(**answer->result));
          }};
}

uint64_t seconds_left(uint64_t expires_s) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto now_s =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
  if (expires_s == 0) return 0;
  return expires_s > now_s ? expires_s - now_s : 1;
}

void all(Call& call) {
  auto queue = call.object<QueueObject>(0);
  auto list = queue->engine().list_snapshots(queue->id);
  if (!list.ok()) return call.ret(failure(list.error()));
  std::vector<Value> entries;
  for (const engine::SnapshotInfo& one : *list) {
    std::vector<std::pair<std::string, Value>> fields;
    fields.emplace_back("name", Value::string(one.name));
    fields.emplace_back("pages", Value::u32(one.page_count));
    fields.emplace_back("tokens", Value::u32(one.token_count));
    fields.emplace_back("bytes", Value::u64(one.bytes));
    fields.emplace_back("seconds-left", Value::u64(seconds_left(one.expires_s)));
    fields.emplace_back("pinned", Value::boolean(one.is_pinned));
    entries.push_back(Value::record(std::move(fields)));
  }
  call.ret(Value::ok(Value::list(std::move(entries))));
}

void remove(Call& call) {
  auto queue = call.object<QueueObject>(0);
  const auto removed = queue->engine().remove_snapshot(queue->id, std::string(call.string(1)));
  call.ret(removed.ok() ? Value::ok() : failure(removed.error()));
}

}  // namespace

void define_snapshot(wasm::Registry& registry) {
  registry.async_function(kSnapshot, "save", save);
  registry.async_function(kSnapshot, "load", load);
  registry.function(kSnapshot, "all", all);
  registry.function(kSnapshot, "remove", remove);
}

}  // namespace pie::host
