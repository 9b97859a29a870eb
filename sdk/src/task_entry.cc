// The synchronous form of a program that is a coroutine. One that has a synchronous form of its own
// is linked with that.
#include "pie/inferlet.h"

__attribute__((weak)) inferlet::Result<std::string> inferlet_main(
    const std::vector<std::string>& arguments) {
  using Coroutine = inferlet::Task<inferlet::Result<std::string>> (*)(std::vector<std::string>);
  return static_cast<Coroutine>(inferlet_main)(arguments);
}
