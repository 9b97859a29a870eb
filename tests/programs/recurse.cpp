// Hostile: calls itself until the stack ends. It uses no memory of its own, so that WebAssembly's
// stack is what runs out.
#include <pie/inferlet.h>

namespace {

volatile uint32_t always_zero = 0;

[[gnu::noinline]] uint32_t deeper(uint32_t depth) {
  if (always_zero != 0) return depth;
  return deeper(depth + 1) + always_zero + 1;
}

}  // namespace

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& /*arguments*/) {
  return std::to_string(deeper(0));
}
