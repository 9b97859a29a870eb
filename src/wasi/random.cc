#include <fmt/format.h>
#include <sys/random.h>

#include <cstring>
#include <string>
#include <vector>

#include "wasi/interfaces.h"
#include "wasm/call.h"

namespace pie::wasi {
namespace {

using wasm::Call;
using wasm::GuestError;
using wasm::Value;

/// One call's most. A program that wants more asks again.
constexpr uint64_t kRandomBytesMax = 1 << 20;

void fill(void* to, size_t size_bytes) {
  auto* at = static_cast<uint8_t*>(to);
  while (size_bytes > 0) {
    const ssize_t got = getrandom(at, size_bytes, 0);
    if (got <= 0) continue;  // interrupted by a signal
    at += got;
    size_bytes -= static_cast<size_t>(got);
  }
}

uint64_t random_u64() {
  uint64_t number = 0;
  fill(&number, sizeof(number));
  return number;
}

void give_bytes(Call& call) {
  const uint64_t count = call.u64(0);
  if (count > kRandomBytesMax)
    throw GuestError(fmt::format("got {} bytes to fill, expected at most {}; ask in pieces", count,
                                 kRandomBytesMax));
  std::vector<uint8_t> bytes(count);
  fill(bytes.data(), bytes.size());
  call.ret(Value::bytes(std::move(bytes)));
}

}  // namespace

/// wasi:random. "Insecure" is as good as the rest: the kernel's generator is fast enough.
void define_random(wasm::Registry& registry) {
  const auto give_u64 = [](Call& call) { call.ret(Value::u64(random_u64())); };
  registry.function("wasi:random/random", "get-random-bytes", give_bytes);
  registry.function("wasi:random/random", "get-random-u64", give_u64);
  registry.function("wasi:random/insecure", "get-insecure-random-bytes", give_bytes);
  registry.function("wasi:random/insecure", "get-insecure-random-u64", give_u64);
  registry.function("wasi:random/insecure-seed", "insecure-seed", [](Call& call) {
    call.ret(Value::tuple({Value::u64(random_u64()), Value::u64(random_u64())}));
  });
}

}  // namespace pie::wasi
