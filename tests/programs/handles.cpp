// Hostile: opens handles without end and never gives one back.
#include <pie/inferlet.h>

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& /*arguments*/) {
  for (;;) inferlet::abi::message_receive();
}
