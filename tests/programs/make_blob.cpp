// Makes a blob of as many bytes as its first argument says and sends it, as often as the second
// says.
#include <pie/inferlet.h>

#include <cstdlib>

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  const size_t size = arguments.empty() ? 0 : std::strtoull(arguments[0].c_str(), nullptr, 10);
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i * 7 % 251);
  const size_t count = arguments.size() < 2 ? 1 : std::strtoull(arguments[1].c_str(), nullptr, 10);
  for (size_t i = 0; i < count; ++i) inferlet::send_blob(inferlet::Blob(bytes));
  return "sent";
}
