// Hostile: computes for ever and calls nothing.
#include <pie/inferlet.h>

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& /*arguments*/) {
  volatile uint32_t count = 0;
  for (;;) count = count + 1;
}
