#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "host/answer.h"
#include "host/define.h"
#include "host/objects.h"
#include "wasm/wit_described.h"
#include "wasm/wit_result.h"

namespace pie::host {
namespace {

using wasm::Wait;
using wasm::WitResult;

constexpr const char* kSnapshot = "pie:context/snapshot";

Wait<WitResult<void, std::string>> save(QueueObject& queue, std::string name,
                                        std::vector<uint32_t> pages, uint32_t last_page_len,
                                        std::vector<uint32_t> tokens, uint64_t ttl_seconds,
                                        bool pinned) {
  engine::SnapshotRequest request;
  request.name = std::move(name);
  request.pages = std::move(pages);
  request.last_page_len = last_page_len;
  request.tokens = std::move(tokens);
  request.ttl_s = ttl_seconds;
  request.is_pinned = pinned;
  auto answer = std::make_shared<Answer<void>>();
  Result<void> accepted = queue.engine().save_snapshot(
      queue.id, std::move(request), [answer](Result<void> result) { answer->set(result); });
  if (!accepted.ok()) answer->set(std::move(accepted));
  return {{answer}, [answer] { return answer->take_result(); }};
}

struct LoadedContext {
  std::vector<uint32_t> pages;
  uint32_t last_page_len = 0;
  std::vector<uint32_t> tokens;
};
constexpr auto wit_type(const LoadedContext*) {
  return wasm::record(wasm::field("pages", &LoadedContext::pages),
                      wasm::field("last-page-len", &LoadedContext::last_page_len),
                      wasm::field("tokens", &LoadedContext::tokens));
}

Wait<WitResult<LoadedContext, std::string>> load(QueueObject& queue, const std::string& name) {
  auto answer = std::make_shared<Answer<engine::LoadedSnapshot>>();
  Result<void> accepted = queue.engine().load_snapshot(
      queue.id, name,
      [answer](Result<engine::LoadedSnapshot> result) { answer->set(std::move(result)); });
  if (!accepted.ok()) answer->set(accepted.error());
  return {{answer}, [answer]() -> Result<LoadedContext> {
            PIE_TRY_ASSIGN(engine::LoadedSnapshot loaded, answer->take_result());
            return LoadedContext{std::move(loaded.pages), loaded.last_page_len,
                                 std::move(loaded.tokens)};
          }};
}

struct SavedContext {
  std::string name;
  uint32_t pages = 0, tokens = 0;
  uint64_t bytes = 0, seconds_left = 0;
  bool pinned = false;
};
constexpr auto wit_type(const SavedContext*) {
  return wasm::record(
      wasm::field("name", &SavedContext::name), wasm::field("pages", &SavedContext::pages),
      wasm::field("tokens", &SavedContext::tokens), wasm::field("bytes", &SavedContext::bytes),
      wasm::field("seconds-left", &SavedContext::seconds_left),
      wasm::field("pinned", &SavedContext::pinned));
}

uint64_t seconds_left(uint64_t expires_s) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto now_s =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
  if (expires_s == 0) return 0;
  return expires_s > now_s ? expires_s - now_s : 1;
}

Result<std::vector<SavedContext>> entries(QueueObject& queue) {
  PIE_TRY_ASSIGN(auto list, queue.engine().list_snapshots(queue.id));
  std::vector<SavedContext> all;
  all.reserve(list.size());
  for (engine::SnapshotInfo& one : list)
    all.push_back({std::move(one.name), one.page_count, one.token_count, one.bytes,
                   seconds_left(one.expires_s), one.is_pinned});
  return all;
}

WitResult<std::vector<SavedContext>, std::string> all(QueueObject& queue) { return entries(queue); }

WitResult<void, std::string> remove(QueueObject& queue, const std::string& name) {
  return queue.engine().remove_snapshot(queue.id, name);
}

}  // namespace

void define_snapshot(wasm::HostFunctions& functions) {
  functions.add(kSnapshot, "save", save);
  functions.add(kSnapshot, "load", load);
  functions.add(kSnapshot, "all", all);
  functions.add(kSnapshot, "remove", remove);
}

}  // namespace pie::host
