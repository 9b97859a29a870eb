// The smallest program: greets on stdout and returns.
#include <pie/inferlet.h>

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  const std::string name = arguments.empty() ? "world" : arguments.front();
  inferlet::print("Hello, " + name + "!\n");
  return "greeted " + name;
}
