#include "cli/follow.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>

namespace pie::cli {
namespace {

volatile std::sig_atomic_t interrupt_count = 0;
extern "C" void note_interrupt(int) { interrupt_count = interrupt_count + 1; }

class Follower {
 public:
  Follower(const client::Instance& instance, OnInterrupt on_interrupt)
      : instance_(instance), on_interrupt_(on_interrupt) {}

  Result<int> run() {
    // Signals do not wake a mailbox, so it is asked again every so often.
    constexpr std::chrono::milliseconds kLook{100};
    int handled = 0;
    while (true) {
      Result<client::Event> event = instance_.events().pop(kLook);
      if (interrupt_count > handled) {
        handled = interrupt_count;
        if (handled > 1 || on_interrupt_ == OnInterrupt::kLeave) return kExitInterrupted;
        instance_.terminate([](const Result<void>&) {});
      }
      if (!event.ok()) {
        if (event.error().code == ErrorCode::kTimeout) continue;
        return std::move(event).error();
      }
      if (protocol::is_final(event->code)) return end(*event);
      print(*event);
    }
  }

 private:
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
    write(stderr, std::string(protocol::to_string(event.code)) + ": " + event.data + "\n");
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
  const OnInterrupt on_interrupt_;
  bool has_output_ = false;
  char last_on_stdout_ = '\n';
};

}  // namespace

Result<int> follow(const client::Instance& instance, OnInterrupt on_interrupt) {
  interrupt_count = 0;
  std::signal(SIGINT, note_interrupt);
  std::signal(SIGTERM, note_interrupt);
  return Follower(instance, on_interrupt).run();
}

}  // namespace pie::cli
