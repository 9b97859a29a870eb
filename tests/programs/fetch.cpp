// Sends one HTTP request for each argument "METHOD URL [BODY]" and prints what came of it, a line
// each: "STATUS BYTES BODY-START" or "error CODE".
#include <pie/http.h>
#include <pie/inferlet.h>

namespace {

std::string outcome(const std::string& argument) {
  const size_t url = argument.find(' ');
  const size_t body = std::min(argument.find(' ', url + 1), argument.size());
  inferlet::http::Call call;
  call.method = argument.substr(0, url);
  call.url = argument.substr(url + 1, body - url - 1);
  call.headers = {{"x-test", "yes"}};
  if (body != argument.size()) call.body = argument.substr(body + 1);
  auto response = inferlet::http::fetch(call);
  if (!response) return "error " + response.error();
  std::string start;
  uint64_t size = 0;
  for (;;) {
    const auto piece = response->body.read();
    if (!piece) return "broke off after " + std::to_string(size) + ": " + piece.error();
    if (piece->empty()) break;
    size += piece->size();
    if (start.size() < 200) start += piece->substr(0, 200 - start.size());
  }
  return std::to_string(response->status) + " " + std::to_string(size) + " " + start;
}

}  // namespace

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) inferlet::print(outcome(argument) + "\n");
  return "done";
}
