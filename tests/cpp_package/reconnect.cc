#include <pie/reconnect.h>

#include <chrono>
#include <set>
#include <thread>

#include "expect.h"
#include "scenarios.h"

using namespace std::chrono_literals;
using pie::Event;

namespace {

/// What a network does that fails.
void cut(pie::ReconnectingClient& client) {
  bool is_cut = false;
  client.call([&](pie::PieClient& connected) {
    if (!is_cut) connected.close();
    is_cut = true;
  });
}

/// Runs `action` under a scope that is stopped a moment later.
void cancelled(const std::function<void()>& action) {
  std::stop_source stop;
  std::thread stopper([&] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  });
  {
    const pie::CancelScope scope(stop.get_token());
    EXPECT_THROW(pie::CancelledError, action());
  }
  stopper.join();
}

}  // namespace

void reconnect(const std::string& uri) {
  pie::ReconnectingClient client(uri, "cpp-back");
  pie::ReconnectingInstance echo = client.launch_instance_from_registry("echo");
  std::set<std::string> seen;
  for (int number = 0; number < 30; ++number) {
    const std::string text = std::to_string(number);
    echo.send(text);
    if (number % 10 == 9) cut(client);
    while (!seen.contains(text)) seen.insert(echo.recv(60s).data);
  }
  EXPECT(seen.size() == 30);
  cut(client);
  EXPECT(echo.upload_blob("bytes").size() == 64);
  cut(client);
  EXPECT(client.call([](pie::PieClient& c) { return c.list_instances(); }).size() == 1);
  const std::string hello =
      client.call([](pie::PieClient& c) { return c.launch_instance("hello", {}, true).id(); });
  EXPECT(client.attach_instance(hello).recv(60s).event == Event::Stdout);
  echo.send("quit");
  Event last = Event::Message;
  for (const auto& [event, data] : echo) last = event;
  EXPECT(last == Event::Completed);
  EXPECT_THROW_TEXT(pie::PieError, "has ended", echo.recv());
  EXPECT_THROW(pie::NotFoundError, client.attach_instance("00000000-0000-0000-0000-000000000000"));

  pie::ReconnectingInstance waiting = client.launch_instance("echo");
  std::thread receiver([&] { EXPECT_THROW_TEXT(pie::ConnectionError, "closed", waiting.recv()); });
  client.close();
  client.close();
  receiver.join();
  EXPECT_THROW(pie::ConnectionError, waiting.terminate());
  EXPECT_THROW(pie::ConnectionError, client.call([](pie::PieClient& c) { c.ping(); }));
}

void restart(const std::string& uri) {
  pie::ReconnectOptions options;
  options.attempts = 60;
  pie::ReconnectingClient client(uri, "cpp", std::nullopt, options);
  pie::ReconnectingInstance instance =
      client.launch_instance_from_registry("long-running-task", {"--seconds", "600"});
  instance.recv(60s);
  std::cout << "kill" << std::endl;
  pie::Received last;
  for (const pie::Received& received : instance) last = received;
  EXPECT(last.event == Event::ServerError && last.data == "server restarted");
  EXPECT(client.call([](pie::PieClient& c) { return c.list_instances(); }).empty());

  options.attempts = 2;
  EXPECT_THROW(pie::ConnectionError,
               pie::ReconnectingClient("ws://127.0.0.1:1", "cpp", std::nullopt, options));
}

void cancel(const std::string& uri) {
  pie::PieClient client(uri);
  client.authenticate("cpp-cancel");
  pie::Instance echo = client.launch_instance_from_registry("echo");
  cancelled([&] { echo.recv(); });
  cancelled([&] { echo.recv(60s); });
  echo.send("still here");
  EXPECT(echo.recv(60s).data == "still here");
  {
    std::stop_source stop;
    const pie::CancelScope scope(stop.get_token());
    EXPECT_THROW(pie::PieTimeoutError, echo.recv(10ms));
    stop.request_stop();
    EXPECT_THROW(pie::CancelledError, client.upload_program(std::string(40 << 20, 'x')));
    EXPECT_THROW(pie::CancelledError, client.launch_instance("hello"));
    const pie::CancelScope inner(std::stop_token{});
    client.ping();
  }
  client.ping();
  echo.terminate();
  EXPECT(echo.recv(60s).event == Event::Aborted);
  cancelled([] {  // while it waits between its attempts
    pie::ReconnectOptions options;
    options.attempts = 1000;
    pie::ReconnectingClient nobody("ws://127.0.0.1:1", "cpp", std::nullopt, options);
  });
}
