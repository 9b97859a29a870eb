// What pie/children.h promises: the first argument names a scenario of a parent, the second the
// hash of this program, which it launches as its children; what those do is named by their first
// argument. A scenario returns "NAME: passed", or fails with what was different.
#include <pie/inferlet.h>

#include <algorithm>
#include <map>
#include <vector>

#include "scenario.h"

namespace {

using inferlet::Child;
using inferlet::ChildEnd;
using inferlet::ChildEvent;
using inferlet::Result;
using inferlet::Task;
using Arguments = std::vector<std::string>;
using Kind = ChildEvent::Kind;

constexpr size_t kFloodBytes = 4U << 20;

// ---- what children do

Task<Result<std::string>> say(Arguments) {
  inferlet::print("out\n");
  inferlet::print_error("error\n");
  inferlet::send("message");
  const std::vector<uint8_t> bytes{1, 2, 0, 255};
  inferlet::send_blob(inferlet::Blob(bytes));
  co_return "returned";
}

Task<Result<std::string>> echo(Arguments) {
  for (;;) {
    const std::string message = co_await inferlet::receive();
    if (message == "quit") co_return "quit";
    if (message == "blob") {
      const inferlet::Blob blob = co_await inferlet::receive_blob();
      const auto bytes = blob.read_all();
      inferlet::send(std::string(bytes.rbegin(), bytes.rend()));
    } else {
      inferlet::send("<" + message + ">");
    }
  }
}

Task<Result<std::string>> flood(Arguments) {
  const std::string line(1023, 'x');
  for (size_t said = 0; said < kFloodBytes; said += 1024) inferlet::print(line + "\n");
  co_return "flooded";
}

Task<Result<std::string>> who(Arguments) {
  co_return inferlet::user() + " " + inferlet::instance_id() + " " +
      inferlet::parent_id().value_or("-");
}

Task<Result<std::string>> fail(Arguments arguments) {
  co_return inferlet::fail("child says: " + arguments.at(1));
}

Task<Result<std::string>> trap(Arguments) { __builtin_trap(); }

/// Holds so many bytes of memory for as long as it lives.
Task<Result<std::string>> hold(Arguments arguments) {
  const size_t bytes = std::stoul(arguments.at(1));
  std::vector<char> held(bytes, 'x');
  inferlet::send(std::to_string(std::count(held.begin(), held.end(), 'x')));
  const std::string last = co_await inferlet::receive();
  co_return last;
}

Task<Result<std::string>> spin(Arguments) {
  inferlet::send("spinning");
  for (volatile uint64_t count = 0;; count = count + 1) {
  }
}

/// A chain of this program: each launches the next, and returns what that says.
Task<Result<std::string>> chain(Arguments arguments) {
  auto child = co_await inferlet::launch_hash(arguments.at(1), arguments);
  if (!child) co_return "1, then " + child.error();
  const ChildEnd end = co_await child->wait();
  co_return "1+" + end.text;
}

// ---- what their parent sees

Task<void> heard(std::string hash) {
  Child child = must(co_await inferlet::launch_hash(hash, {"say"}));
  std::map<Kind, std::string> said;
  while (auto event = co_await child.receive()) said[event->kind] += event->text;
  expect(said[Kind::kStdout] == "out\n", "stdout: " + said[Kind::kStdout]);
  expect(said[Kind::kStderr] == "error\n", "stderr: " + said[Kind::kStderr]);
  expect(said[Kind::kMessage] == "message", "the message");
  expect(said[Kind::kBlob] == std::string("\1\2\0\377", 4), "the blob");
  expect(child.end() && child.end()->is_completed() && child.end()->text == "returned", "the end");
  expect(!child.send("late"), "a child that has ended takes a message");
  expect(!(co_await child.receive()), "something after the end");
}

Task<void> both_ways(std::string hash) {
  Child child = must(co_await inferlet::launch_hash(hash, {"echo"}));
  for (const char* text : {"one", "two", "three"}) must(child.send(text));
  for (const char* text : {"<one>", "<two>", "<three>"}) {
    const auto back = co_await child.receive_message();
    expect(back == text, "another answer: " + back.value_or("none"));
  }
  const std::string bytes = "abc";
  must(child.send("blob"));
  must(child.send_blob(inferlet::Blob(std::vector<uint8_t>(bytes.begin(), bytes.end()))));
  expect(co_await child.receive_message() == "cba", "the blob");
  must(child.send("quit"));
  const ChildEnd end = co_await child.wait();
  expect(end.text == "quit", "the end: " + end.text);
}

Task<void> at_once(std::string hash) {
  std::vector<Task<Result<Child>>> launches;
  for (int i = 0; i < 32; ++i)
    launches.push_back(inferlet::launch_hash(hash, {"fail", std::to_string(i)}));
  auto launched = co_await inferlet::when_all(std::move(launches));
  std::vector<Task<ChildEnd>> waits;
  for (auto& one : launched) {
    if (!one) co_return expect(false, one.error());
    waits.push_back(one->wait());
  }
  const auto ends = co_await inferlet::when_all(std::move(waits));
  for (size_t i = 0; i < ends.size(); ++i) {
    expect(ends[i].kind == ChildEnd::Kind::kFailed, "not failed");
    expect(ends[i].text.ends_with("child says: " + std::to_string(i)),
           "another end: " + ends[i].text);
  }
}

Task<void> failures(std::string hash) {
  const auto missing = co_await inferlet::launch("std/nothing-like-it");
  expect(!missing && missing.error() == "Program not found", "a program that is not there");
  Child trapped = must(co_await inferlet::launch_hash(hash, {"trap"}));
  expect((co_await trapped.wait()).kind == ChildEnd::Kind::kFailed, "the trap");
  Child spinner = must(co_await inferlet::launch_hash(hash, {"spin"}));
  expect(co_await spinner.receive_message() == "spinning", "it does not spin");
  spinner.cancel();
  const ChildEnd end = co_await spinner.wait();
  expect(end.kind == ChildEnd::Kind::kAborted && end.text == "its parent cancelled it", end.text);
  const auto hello = co_await inferlet::run_child("std/hello");
  expect(hello.has_value(), "hello");
}

/// The child waits when it has said 1 MiB, and goes on as it is heard.
Task<void> back_pressure(std::string hash) {
  Child child = must(co_await inferlet::launch_hash(hash, {"flood"}));
  size_t bytes = 0;
  while (auto event = co_await child.receive()) bytes += event->text.size();
  expect(bytes == kFloodBytes, std::to_string(bytes) + " bytes");
  expect(child.end()->text == "flooded", "the end");
}

Task<void> names(std::string hash) {
  Child child = must(co_await inferlet::launch_hash(hash, {"who"}));
  const std::string id = child.id();
  const ChildEnd end = co_await child.wait();
  expect(end.text == inferlet::user() + " " + id + " " + inferlet::instance_id(), end.text);
  expect(!inferlet::parent_id(), "a client's instance has a parent");
  must(inferlet::log_line(inferlet::LogLevel::kWarning, "a \"line\"\n",
                          {{"user", inferlet::user()}, {"key", "värde"}}));
  expect(!inferlet::log_line(inferlet::LogLevel::kInfo, "x", {{"a", "1"}, {"a", "2"}}), "twice");
  expect(!inferlet::log_line(inferlet::LogLevel::kInfo, std::string(70'000, 'x')), "too long");
}

/// Children that hold this program until they are told, or it is ended.
Task<void> with_children(std::string hash) {
  std::vector<Child> children;
  for (int i = 0; i < 3; ++i)
    children.push_back(must(co_await inferlet::launch_hash(hash, {"chain-of-holders", hash})));
  for (Child& one : children) co_await one.receive_message();
  inferlet::send("held");
  co_await inferlet::receive();
  expect(false, "told to fail");  // and they go with it
}

Task<Result<std::string>> chain_of_holders(Arguments arguments) {
  Child child = must(co_await inferlet::launch_hash(arguments.at(1), {"spin"}));
  co_await child.receive_message();
  inferlet::send("held");
  co_await child.wait();
  co_return "not reached";
}

/// One child after the other holds 100 MB; how it ended that the family had no room for.
Task<Result<std::string>> share(Arguments arguments) {
  std::vector<Child> children;
  for (int i = 0; i < 8; ++i) {
    children.push_back(
        must(co_await inferlet::launch_hash(arguments.at(1), {"hold", "100000000"})));
    if (co_await children.back().receive_message()) continue;
    const ChildEnd& end = *children.back().end();
    expect(end.kind == ChildEnd::Kind::kOutOfResources, "another end");
    co_return std::to_string(i) + " fit: " + end.text;
  }
  co_return "all fit";
}

/// How many live at once, and why no other one is launched.
Task<Result<std::string>> crowd(Arguments arguments) {
  std::vector<Child> children;
  for (;;) {
    auto child = co_await inferlet::launch_hash(arguments.at(1), {"echo"});
    if (!child) co_return std::to_string(children.size()) + ": " + child.error();
    children.push_back(std::move(*child));
  }
}

using Scenario = Task<void> (*)(std::string hash);
const std::map<std::string, Scenario> kScenarios = {
    {"heard", heard},
    {"both-ways", both_ways},
    {"at-once", at_once},
    {"failures", failures},
    {"back-pressure", back_pressure},
    {"names", names},
    {"with-children", with_children},
};

using Role = Task<Result<std::string>> (*)(Arguments arguments);
const std::map<std::string, Role> kRoles = {
    {"say", say},     {"echo", echo},   {"flood", flood}, {"who", who},
    {"fail", fail},   {"trap", trap},   {"hold", hold},   {"spin", spin},
    {"chain", chain}, {"share", share}, {"crowd", crowd}, {"chain-of-holders", chain_of_holders},
};

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  const std::string name = arguments.empty() ? "" : arguments[0];
  if (const auto role = kRoles.find(name); role != kRoles.end())
    co_return co_await role->second(std::move(arguments));
  const auto scenario = kScenarios.find(name);
  if (scenario == kScenarios.end() || arguments.size() != 2)
    co_return inferlet::fail("[family] got '" + name + "', expected a scenario and a hash");
  co_await scenario->second(arguments[1]);
  if (!failure.empty()) co_return inferlet::fail(name + ": " + failure);
  co_return name + ": passed";
}
