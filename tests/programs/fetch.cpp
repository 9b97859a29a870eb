// Sends one HTTP request for each argument "METHOD URL [BODY]" and prints what came of it, a line
// each: "STATUS BYTES BODY-START" or "error CODE". With "--together" first all of them are under
// way at once.
#include <pie/http.h>
#include <pie/inferlet.h>

namespace {

inferlet::Task<std::string> outcome(std::string argument) {
  const size_t url = argument.find(' ');
  const size_t body = std::min(argument.find(' ', url + 1), argument.size());
  inferlet::http::Call call;
  call.method = argument.substr(0, url);
  call.url = argument.substr(url + 1, body - url - 1);
  call.headers = {{"x-test", "yes"}};
  if (body != argument.size()) call.body = argument.substr(body + 1);
  auto response = co_await inferlet::http::fetch(call);
  if (!response) co_return "error " + response.error();
  std::string start;
  uint64_t size = 0;
  for (;;) {
    const auto piece = co_await response->body.read();
    if (!piece) co_return "broke off after " + std::to_string(size) + ": " + piece.error();
    if (piece->empty()) break;
    size += piece->size();
    if (start.size() < 200) start += piece->substr(0, 200 - start.size());
  }
  co_return std::to_string(response->status) + " " + std::to_string(size) + " " + start;
}

}  // namespace

inferlet::Task<inferlet::Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::vector<inferlet::Task<std::string>> together;
  for (const std::string& argument : arguments) {
    if (argument == "--together") continue;
    if (arguments.front() == "--together") {
      together.push_back(outcome(argument));
    } else {
      inferlet::print(co_await outcome(argument) + "\n");
    }
  }
  for (const std::string& line : co_await inferlet::when_all(std::move(together)))
    inferlet::print(line + "\n");
  co_return "done";
}
