// Serves HTTP; what a request wants stands in its path:
//
//   /echo        the body, as it comes        /whole        the body, read whole first
//   /head        method, target, authority and headers of the request
//   /pieces/N    N lines, each after the client asked for it by a line of body
//   /bytes/N     N bytes                      /blocks/N     N bytes, and how far it got, on stdout
//   /count       one more in the key-value store
//   /complete    what the model says to the body
//   /arguments   the arguments of the launch
//   /print       the body on stdout           /ignore       answers without reading the body
//   /short /long a body that is not as long as its Content-Length
//   /bad-header  says which headers cannot be set
//   /nothing     no answer                    /half         breaks off after a piece
//   /trap /spin /wait /allocate               do that
//   /hold        holds KV pages and waits
//   /trap-later  traps after the head and a piece
#include <pie/http.h>
#include <pie/inferlet.h>

#include <cstdlib>

using inferlet::http::BodyWriter;
using inferlet::http::Headers;
using inferlet::http::Request;
using inferlet::http::Responder;

namespace {

const Headers kText = {{"content-type", "text/plain"}};

/// The number after "/name/".
uint64_t number_in(const std::string& target) {
  return std::strtoull(target.c_str() + target.rfind('/') + 1, nullptr, 10);
}

void echo(Request& request, Responder& responder) {
  inferlet::http::Body body = request.body();
  auto writer = responder.start(200, kText);
  for (;;) {
    const auto piece = body.read();
    if (!piece) return inferlet::print_error("body: " + piece.error() + "\n");
    if (piece->empty()) break;
    if (!writer->write(*piece)) return;
  }
  (void)writer->finish();
}

void pieces(Request& request, Responder& responder) {
  const uint64_t count = number_in(request.target());
  inferlet::http::Body body = request.body();
  auto writer = responder.start(200, kText);
  for (uint64_t i = 0; i < count; ++i) {
    (void)body.read().wait();
    (void)writer->write("piece " + std::to_string(i) + "\n");
  }
  (void)writer->finish();
}

void bytes(uint64_t count, bool tells, Responder& responder) {
  constexpr uint64_t kBlock = 65'536;
  const std::string block(kBlock, 'x');
  auto writer = responder.start(200, kText);
  for (uint64_t done = 0; done < count; done += kBlock) {
    const uint64_t size = std::min(kBlock, count - done);
    if (auto written = writer->write(std::string_view(block).substr(0, size)); !written)
      return inferlet::print("stopped: " + written.error() + "\n");
    if (tells) inferlet::print("written " + std::to_string(done + size) + "\n");
  }
  (void)writer->finish();
}

std::string describe(const Request& request) {
  std::string text = request.method() + " " + request.target() + " " + request.authority() + "\n";
  for (const auto& [name, value] : request.headers()) text += name + ": " + value + "\n";
  return text;
}

std::string count() {
  const auto before = inferlet::kvs::get("count");
  const std::string now = std::to_string((before ? std::atoi(before->c_str()) : 0) + 1);
  inferlet::kvs::set("count", now);
  return now;
}

std::string complete(const std::string& prompt) {
  auto context = inferlet::Context::create();
  if (!context) return context.error();
  context->fill_user(prompt);
  const auto text = context->generate(inferlet::Sampler::greedy(), inferlet::Stop::max_len(8));
  return text ? *text : text.error();
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += word + "\n";
  return text;
}

void wrong_length(bool too_long, Responder& responder) {
  auto writer = responder.start(200, {{"content-length", "10"}});
  const auto written = writer->write(too_long ? "12345678901" : "12345");
  const auto finished = writer->finish();
  inferlet::print("write: " + (written ? "ok" : written.error()) +
                  ", finish: " + (finished ? "ok" : finished.error()) + "\n");
}

std::string bad_headers() {
  std::string refused;
  for (const Headers& one : {Headers{{"good", "value"}}, Headers{{"bad name", "x"}},
                             Headers{{"split", "a\r\nb: c"}}, Headers{{"Connection", "close"}},
                             Headers{{"transfer-encoding", "chunked"}}, Headers{{"host", "x"}}}) {
    std::vector<inferlet::abi::Field> entries;
    for (const auto& [name, value] : one)
      entries.push_back(
          {{const_cast<char*>(name.data()), uint32_t(name.size())},
           {reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), uint32_t(value.size())}});
    inferlet::abi::Outcome<inferlet::abi::Handle> out;
    inferlet::abi::fields_from_list(entries.data(), uint32_t(entries.size()), &out);
    refused += one[0].first + (out.is_error != 0 ? " refused\n" : " taken\n");
    if (out.is_error == 0) inferlet::abi::fields_drop(out.value);
  }
  return refused;
}

[[noreturn]] void spin() {
  for (volatile uint64_t i = 0;; i = i + 1) {
  }
}

/// What does not end well.
void misbehave(const std::string& what, Responder& responder) {
  if (what == "/trap") __builtin_trap();
  if (what == "/spin") spin();
  if (what == "/wait") inferlet::sleep_for(std::chrono::hours(1));
  if (what == "/hold") {
    auto context = inferlet::Context::create();
    context->fill_user("hold");
    context->flush();
    inferlet::sleep_for(std::chrono::hours(1));
  }
  if (what == "/allocate")
    for (;;) {
      volatile char* memory = static_cast<char*>(std::malloc(1 << 20));
      if (memory == nullptr) __builtin_trap();
      memory[0] = 1;
    }
  if (what == "/half") {
    auto writer = responder.start(200, kText);
    (void)writer->write("half\n");
  }
  if (what == "/trap-later") {
    auto writer = responder.start(200, kText);
    (void)writer->write("before\n");
    __builtin_trap();
  }
}

}  // namespace

void inferlet_http(Request request, Responder responder) {
  const std::string target = request.target();
  const std::string what = target.substr(0, target.find('?'));
  const auto answer = [&](const std::string& text) { (void)responder.send(200, kText, text); };
  if (what == "/echo") return echo(request, responder);
  if (what.starts_with("/pieces/")) return pieces(request, responder);
  if (what.starts_with("/bytes/")) return bytes(number_in(what), false, responder);
  if (what.starts_with("/blocks/")) return bytes(number_in(what), true, responder);
  if (what == "/head") return answer(describe(request));
  if (what == "/count") return answer(count());
  if (what == "/arguments") return answer(joined(inferlet::arguments()));
  if (what == "/ignore") return answer("ignored\n");
  if (what == "/bad-header") return answer(bad_headers());
  if (what == "/short") return wrong_length(false, responder);
  if (what == "/long") return wrong_length(true, responder);
  if (what == "/whole" || what == "/print" || what == "/complete") {
    const auto body = request.body().read_all(64 << 20);
    if (!body) return (void)responder.send(400, kText, body.error());
    if (what == "/print") inferlet::print(*body);
    return answer(what == "/complete" ? complete(*body) : *body);
  }
  misbehave(what, responder);
  if (what == "/half" || what == "/nothing") return;
  (void)responder.send(404, kText, "no such path\n");
}
