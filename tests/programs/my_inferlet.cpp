#include <pie/inferlet.h>

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) inferlet::print("Hello, " + argument + "!\n");
  return "done";
}
