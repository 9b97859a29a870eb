// Uses every call of pie/client.h against a server: outside SCENARIO URI [FILE...]. Says on stderr
// what is not as it should be.
#include <pie/client.h>

#include <cstdlib>
#include <map>
#include <thread>

#include "expect.h"
#include "scenarios.h"

namespace {

using namespace std::chrono_literals;
using pie::Event;

void programs(pie::PieClient& client, const std::string& wasm, const std::string& manifest) {
  uint64_t last = 0;
  const std::string bytes = read(wasm);
  const std::string hash = client.upload_program(bytes, [&](uint64_t sent, uint64_t total) {
    EXPECT(sent > last && sent <= total && total == bytes.size());
    last = sent;
  });
  EXPECT(last == bytes.size());
  EXPECT(hash.size() == 64);
  EXPECT(client.upload_program(wasm, manifest) == hash);
  EXPECT(client.program_exists(hash));
  EXPECT(client.program_exists("cpp/echo@1.0.0"));
  EXPECT(client.program_exists("cpp/echo@1.0.0", wasm, manifest));
  EXPECT(!client.program_exists("cpp/echo@1.0.0", manifest, wasm));
  EXPECT(!client.program_exists("cpp/nothing@1.0.0"));
  EXPECT_THROW(pie::ProgramError, client.upload_program("not WebAssembly"));
  EXPECT_THROW(pie::NotFoundError, client.upload_program(wasm + ".missing", manifest));
  EXPECT_THROW_TEXT(std::runtime_error, "enough", client.upload_program(bytes, [](auto, auto) {
    throw std::runtime_error("enough");
  }));
  EXPECT_THROW_TEXT(std::runtime_error, "enough",
                    client.upload_program(std::string(40 << 20, 'x'),
                                          [](auto, auto) { throw std::runtime_error("enough"); }));
  client.ping();
}

void instances(pie::PieClient& client, const std::string& file) {
  pie::Instance echo = client.launch_instance("cpp/echo", {"x"});
  echo.send("hello");
  const auto [event, data] = echo.recv(60s);
  EXPECT(event == Event::Message && data == "hello");
  EXPECT_THROW(pie::PieTimeoutError, echo.recv(10ms));
  EXPECT(echo.upload_blob("").size() == 64);
  EXPECT(echo.recv(60s).event == Event::Blob);
  echo.upload_blob_file(file);
  const pie::Received blob = echo.recv(60s);
  EXPECT(blob.event == Event::Blob && blob.data == read(file));
  const std::vector<pie::InstanceInfo> listed = client.list_instances();
  EXPECT(listed.size() == 1 && listed[0].id == echo.id() && listed[0].status == "Attached");
  EXPECT(listed[0].username == "cpp" && listed[0].arguments == std::vector<std::string>{"x"});
  echo.terminate();
  EXPECT(echo.recv(60s).event == Event::Aborted);
  EXPECT_THROW_TEXT(pie::PieError, "instance has ended: Aborted", echo.recv());

  const pie::Instance detached = client.launch_instance_from_registry("hello", {}, true);
  std::map<Event, int> counts;
  pie::Instance attached = client.attach_instance(detached.instance_id());
  for (const pie::Received& received : attached) ++counts[received.event];
  EXPECT(counts[Event::Completed] == 1 && counts[Event::Stdout] >= 1);

  EXPECT_THROW(pie::NotFoundError, client.terminate_instance(detached.id()));
  EXPECT_THROW(pie::PieError, client.launch_instance("cpp/nothing"));
  EXPECT_THROW(pie::PieError, client.launch_server_instance(0, "cpp/echo@1.0.0"));
  EXPECT(client.query("model_status").find("model") != std::string::npos);
  EXPECT_THROW(pie::PieError, client.query("no such subject"));
  client.ping();
}

void all(const std::string& uri, const std::string& wasm, const std::string& manifest) {
  pie::PieClient client(uri);
  EXPECT_THROW_TEXT(pie::PieError, "expected identification",
                    pie::PieClient(uri).launch_instance("hello"));
  client.authenticate("cpp");
  programs(client, wasm, manifest);
  instances(client, wasm);

  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      pie::Instance hello = client.launch_instance_from_registry("hello");
      Event last = Event::Message;
      for (const auto& [event, data] : hello) last = event;
      EXPECT(last == Event::Completed);
    });
  }
  for (std::thread& thread : threads) thread.join();

  pie::Instance waiting = client.launch_instance("cpp/echo");
  std::thread receiver([&] { EXPECT_THROW(pie::ConnectionError, waiting.recv()); });
  client.close();
  client.close();
  receiver.join();
  EXPECT_THROW(pie::ConnectionError, client.ping());
  EXPECT_THROW(pie::ConnectionError, waiting.upload_blob("late"));
  EXPECT_THROW(pie::ConnectionError, pie::PieClient("ws://127.0.0.1:1"));
  EXPECT_THROW(pie::PieError, pie::PieClient("http://127.0.0.1:1"));
}

void keys(const std::string& good, const std::string& encrypted, const std::string& weak) {
  const auto key = pie::ParsedPrivateKey::from_file(good);
  EXPECT(key.kind() == "Ed25519" && key.bits() > 0 && key.sign("x").size() == 64);
  EXPECT(pie::ParsedPrivateKey::parse(read(std::getenv("HOME") + good.substr(1))).sign("x") ==
         key.sign("x"));
  EXPECT(pie::ParsedPrivateKey::from_file(encrypted, "secret").kind() == "Ed25519");
  EXPECT_THROW_TEXT(pie::InvalidKeyError, "passphrase",
                    pie::ParsedPrivateKey::from_file(encrypted));
  EXPECT_THROW_TEXT(pie::InvalidKeyError, weak, pie::ParsedPrivateKey::from_file(weak));
  EXPECT_THROW(std::system_error, pie::ParsedPrivateKey::from_file("~/no/such/file"));
}

/// The server was stopped (SIGSTOP): it answers nothing.
void timeouts(const std::string& uri) {
  pie::PieClient client(uri, {.call_timeout = 500ms});
  client.authenticate("cpp");
  std::cout << "stop" << std::endl;
  std::string line;
  std::getline(std::cin, line);
  EXPECT_THROW(pie::PieTimeoutError, client.ping());
  EXPECT_THROW(pie::PieTimeoutError, client.upload_program(std::string(40 << 20, 'x')));
  std::cout << "go on" << std::endl;
  std::getline(std::cin, line);
  EXPECT(!client.program_exists(std::string(64, '0')));  // and the client is still usable
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  try {
    if (args.at(0) == "all") all(args.at(1), args.at(2), args.at(3));
    if (args.at(0) == "keys") keys(args.at(1), args.at(2), args.at(3));
    if (args.at(0) == "timeouts") timeouts(args.at(1));
    if (args.at(0) == "reconnect") reconnect(args.at(1));
    if (args.at(0) == "restart") restart(args.at(1));
    if (args.at(0) == "cancel") cancel(args.at(1));
    if (args.at(0) == "version") std::cout << pie::version();
  } catch (const std::exception& e) {
    std::cerr << "unexpected: " << e.what() << '\n';
    ++failures;
  }
  return failures == 0 ? 0 : 1;
}
