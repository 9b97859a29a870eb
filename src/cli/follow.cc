#include "cli/follow.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>

#include "cli/exit_code.h"
#include "cli/terminal.h"

namespace pie::cli {
namespace {

volatile std::sig_atomic_t interrupt_count = 0;
volatile std::sig_atomic_t leave_count = 0;
extern "C" void note_interrupt(int) { interrupt_count = interrupt_count + 1; }
extern "C" void note_leave(int) { leave_count = leave_count + 1; }

class Follower {
 public:
  Follower(const client::Instance& instance, Leaving leaving)
      : instance_(instance), leaving_(leaving) {}

  Result<int> run() {
    // Neither signals nor keys wake a mailbox, so it is asked again every so often.
    constexpr std::chrono::milliseconds kLook{100};
    if (leaving_ == Leaving::kDetaches && key_.is_terminal())
      note("Ctrl-C terminates the instance, Ctrl-D detaches from it\n");
    int handled = 0;
    while (true) {
      Result<client::Event> event = instance_.events().pop(kLook);
      if (interrupt_count > handled) {
        handled = interrupt_count;
        if (handled > 1) return kExitInterrupted;
        instance_.terminate([](const Result<void>&) {});
      }
      if (event.ok()) {
        if (protocol::is_final(event->code)) return end(*event);
        print(*event);
      } else if (event.error().code != ErrorCode::kTimeout) {
        return std::move(event).error();
      }
      if (leaves()) return detach();
    }
  }

 private:
  bool leaves() const {
    return leaving_ == Leaving::kDetaches && (leave_count > 0 || key_.pressed());
  }

  int detach() {
    if (last_on_stdout_ != '\n') write(stdout, "\n");
    note("detached; `pie attach " + instance_.id() + "` goes on\n");
    return 0;
  }

  /// A remark of ours, not the instance's.
  static void note(const std::string& text) {
    std::fputs(paint(stderr, Colour::kDim, text).c_str(), stderr);
  }

  void print(const client::Event& event) {
    using protocol::EventCode;
    switch (event.code) {
      case EventCode::kStderr: return write(stderr, event.data);
      case EventCode::kBlob:
        return write(stderr, "[a blob of " + std::to_string(event.data.size()) + " bytes]\n");
      case EventCode::kMessage: return write(stdout, event.data + "\n");
      default: return write(stdout, event.data);
    }
  }

  int end(const client::Event& event) {
    if (last_on_stdout_ != '\n') write(stdout, "\n");
    if (event.code == protocol::EventCode::kCompleted) {
      if (!event.data.empty() && !has_output_) write(stdout, event.data + "\n");
      return 0;
    }
    const std::string name(protocol::to_string(event.code));
    write(stderr, paint(stderr, Colour::kRed, name + ":") + " " + event.data + "\n");
    return interrupt_count > 0 ? kExitInterrupted : kExitFailed;
  }

  void write(std::FILE* stream, const std::string& text) {
    if (text.empty()) return;
    std::fwrite(text.data(), 1, text.size(), stream);
    std::fflush(stream);
    if (stream != stdout) return;
    has_output_ = true;
    last_on_stdout_ = text.back();
  }

  const client::Instance& instance_;
  const Leaving leaving_;
  const DetachKey key_;
  bool has_output_ = false;
  char last_on_stdout_ = '\n';
};

}  // namespace

Result<int> follow(const client::Instance& instance, Leaving leaving) {
  interrupt_count = 0;
  leave_count = 0;
  std::signal(SIGINT, note_interrupt);
  std::signal(SIGTERM, leaving == Leaving::kDetaches ? note_leave : note_interrupt);
  if (leaving == Leaving::kDetaches) std::signal(SIGHUP, note_leave);
  return Follower(instance, leaving).run();
}

}  // namespace pie::cli
