// A runtime as the server runs it for uploaded archives, which knows no language: it sends its
// source back as a blob. With "cache" and a value it tells what an earlier instance has kept, and
// keeps the value.
#include <pie/inferlet.h>
#include <pie/program.h>

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  if (arguments.size() == 2 && arguments[0] == "cache") {
    const std::string before = inferlet::program::load("value").value_or("none");
    if (auto kept = inferlet::program::store("value", arguments[1]); !kept) return kept.error();
    return before;
  }
  const std::string source = inferlet::program::source();
  inferlet::send_blob(inferlet::Blob(std::vector<uint8_t>(source.begin(), source.end())));
  return "sent";
}
