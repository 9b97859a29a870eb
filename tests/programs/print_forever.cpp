// Hostile: writes to stdout without end.
#include <pie/inferlet.h>

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& /*arguments*/) {
  const std::string line = std::string(4095, 'x') + "\n";
  for (;;) inferlet::print(line);
}
