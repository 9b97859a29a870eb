#include <fmt/format.h>
#include <sys/random.h>

#include <cstring>
#include <tuple>
#include <vector>

#include "wasi/interfaces.h"
#include "wasm/host_functions.h"

namespace pie::wasi {
namespace {

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

std::vector<uint8_t> random_bytes(uint64_t count) {
  if (count > kRandomBytesMax)
    throw wasm::GuestError(fmt::format("got {} bytes to fill, expected at most {}; ask in pieces",
                                       count, kRandomBytesMax));
  std::vector<uint8_t> bytes(count);
  fill(bytes.data(), bytes.size());
  return bytes;
}

}  // namespace

/// wasi:random. "Insecure" is as good as the rest: the kernel's generator is fast enough.
void define_random(wasm::HostFunctions& functions) {
  functions.add("wasi:random/random", "get-random-bytes", random_bytes);
  functions.add("wasi:random/random", "get-random-u64", random_u64);
  functions.add("wasi:random/insecure", "get-insecure-random-bytes", random_bytes);
  functions.add("wasi:random/insecure", "get-insecure-random-u64", random_u64);
  functions.add("wasi:random/insecure-seed", "insecure-seed",
                [] { return std::tuple(random_u64(), random_u64()); });
}

}  // namespace pie::wasi
