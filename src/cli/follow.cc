#include "cli/follow.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>
#include <utility>

#include "cli/exit_code.h"
#include "cli/standard_streams.h"
#include "cli/terminal.h"
#include "client/wait.h"

namespace pie::cli {
namespace {

volatile std::sig_atomic_t interrupt_count = 0;
volatile std::sig_atomic_t leave_count = 0;
extern "C" void note_interrupt(int) { interrupt_count = interrupt_count + 1; }
extern "C" void note_leave(int) { leave_count = leave_count + 1; }

/// Waits until the server knows that the end was received (by the pong of a ping that it sent after
/// it): then it forgets the instance, and the next `pie attach` does not show everything again.
void await_delivery(client::Client& client, const std::string& id) {
  constexpr std::chrono::milliseconds kLook{20};
  constexpr std::chrono::seconds kLongest{5};
  const auto give_up = std::chrono::steady_clock::now() + kLongest;
  const std::string record = id + " text 1";
  while (std::chrono::steady_clock::now() < give_up) {
    const auto still_there = client::wait_for<std::string>(
        [&](auto told) { client.query("instance_log", record, told); });
    if (!still_there.ok()) return;
    std::this_thread::sleep_for(kLook);
  }
}

class Follower {
 public:
  Follower(client::Client& client, const client::Instance& instance, Leaving leaving)
      : client_(client), instance_(instance), leaving_(leaving) {}

  Result<int> run() {
    // Neither signals nor keys wake a mailbox, so it is asked again every so often.
    constexpr std::chrono::milliseconds kLook{100};
    if (leaving_ == Leaving::kDetaches && key_.is_terminal())
      note("Ctrl-C terminates the instance, Ctrl-D detaches from it");
    while (true) {
      Result<protocol::ClientEvent> event = instance_.events().pop(kLook);
      if (!event.ok() && event.error().code != ErrorCode::kTimeout) return std::move(event).error();
      if (wants_out()) return leave();
      if (!event.ok()) continue;
      const bool is_last = protocol::is_final(event->code);
      const Written written = is_last ? print_end(*event) : print(*event);
      if (written == Written::kGivenUp) return leave();
      if (written == Written::kFailed) return break_off();
      instance_.events().confirm();
      if (is_last) return end(event->code);
    }
  }

 private:
  /// Reacts to keys and signals; whether there is to be no more waiting.
  bool wants_out() {
    if (interrupt_count > 0 && !std::exchange(is_terminated_, true))
      instance_.terminate([](const Result<void>&) {});
    return interrupt_count > 1 || leaves();
  }

  bool leaves() const {
    return leaving_ == Leaving::kDetaches && (leave_count > 0 || key_.pressed());
  }

  /// What was received and not written is not confirmed: it comes again.
  int leave() {
    client_.drop();
    if (interrupt_count > 1) return kExitInterrupted;
    end_line();
    note("detached; `pie attach " + instance_.id() + "` goes on");
    return 0;
  }

  /// A remark of ours, not the instance's; one that nobody reads is left out.
  static void note(const std::string& text) {
    write(Stream::kErr, paint(stderr, Colour::kDim, text) + "\n", [] { return true; });
  }

  Result<int> break_off() {
    client_.drop();
    const Stream failed = failure_of(Stream::kOut) != 0 ? Stream::kOut : Stream::kErr;
    if (failure_of(failed) == EPIPE) return kExitReaderGone;
    return failure_error(failed);
  }

  int end(protocol::EventCode code) {
    await_delivery(client_, instance_.id());
    if (code == protocol::EventCode::kCompleted) return 0;
    return interrupt_count > 0 ? kExitInterrupted : kExitFailed;
  }

  Written print(const protocol::ClientEvent& event) {
    using protocol::EventCode;
    switch (event.code) {
      case EventCode::kStderr: return put(Stream::kErr, event.data);
      case EventCode::kBlob:
        return put(Stream::kErr, "[a blob of " + std::to_string(event.data.size()) + " bytes]\n");
      case EventCode::kMessage: return put(Stream::kOut, event.data + "\n");
      default: return put(Stream::kOut, event.data);
    }
  }

  Written print_end(const protocol::ClientEvent& event) {
    if (const Written done = end_line(); done != Written::kWhole) return done;
    if (event.code == protocol::EventCode::kCompleted) {
      const bool is_shown = !event.data.empty() && !has_output_;
      return is_shown ? put(Stream::kOut, event.data + "\n") : Written::kWhole;
    }
    const std::string name(protocol::to_string(event.code));
    return put(Stream::kErr, paint(stderr, Colour::kRed, name + ":") + " " + event.data + "\n");
  }

  Written end_line() { return last_on_stdout_ == '\n' ? Written::kWhole : put(Stream::kOut, "\n"); }

  Written put(Stream stream, const std::string& text) {
    if (text.empty()) return Written::kWhole;
    const Written done = write(stream, text, [this] { return wants_out(); });
    if (stream == Stream::kOut && done == Written::kWhole) {
      has_output_ = true;
      last_on_stdout_ = text.back();
    }
    return done;
  }

  client::Client& client_;
  const client::Instance& instance_;
  const Leaving leaving_;
  const DetachKey key_;
  bool is_terminated_ = false;
  bool has_output_ = false;
  char last_on_stdout_ = '\n';
};

/// Without SA_RESTART: a signal ends the wait for a reader.
void handle(int signal, void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

Result<int> follow(client::Client& client, const client::Instance& instance, Leaving leaving) {
  interrupt_count = 0;
  leave_count = 0;
  handle(SIGINT, note_interrupt);
  handle(SIGTERM, leaving == Leaving::kDetaches ? note_leave : note_interrupt);
  if (leaving == Leaving::kDetaches) handle(SIGHUP, note_leave);
  return Follower(client, instance, leaving).run();
}

Result<int> with_rest(Result<int> followed, const client::Instance& instance) {
  const bool has_failed = failure_of(Stream::kOut) != 0 || failure_of(Stream::kErr) != 0;
  if (followed.ok() || !has_failed) return followed;
  Error error = std::move(followed).error();
  error.message +=
      "; what was not written stays in the instance's log: `pie attach " + instance.id() + "`";
  return error;
}

}  // namespace pie::cli
