#include "instance/arguments.h"

#include <algorithm>
#include <string_view>

#include "base/utf8.h"

namespace pie::instance {

uint64_t arguments_bytes(const std::vector<std::string>& arguments) {
  uint64_t bytes = arguments.size() * sizeof(std::string);
  for (const std::string& one : arguments) bytes += one.size();
  return bytes;
}

std::vector<std::string> shortened_arguments(const std::vector<std::string>& arguments,
                                             size_t bytes_max) {
  constexpr size_t kPerArgument = 5;  // of the frame
  std::vector<std::string> listed;
  size_t left = bytes_max;
  for (const std::string& one : arguments) {
    if (left < kPerArgument) {
      listed.push_back("\u2026 (" + std::to_string(arguments.size() - listed.size()) + " more)");
      break;
    }
    left -= kPerArgument;
    listed.push_back(shortened(to_utf8(std::string_view(one).substr(0, left + 4)), left));
    left -= std::min(left, one.size());
  }
  return listed;
}

}  // namespace pie::instance
