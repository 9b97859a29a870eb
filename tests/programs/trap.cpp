// Hostile: traps in a function that the backtrace must name.
#include <pie/inferlet.h>

[[gnu::noinline]] void trap_here() { __builtin_trap(); }

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& /*arguments*/) {
  inferlet::print("before the trap\n");
  trap_here();
  return "";
}
