#include "host/ending.h"

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace pie::host {
namespace {

using Kind = wasm::Outcome::Kind;

class CountingInstance final : public wasm::GuestInstance {
 public:
  void kill() override { ++kills; }
  uint64_t memory_bytes() const override { return 0; }
  uint64_t cpu_ns() const override { return 0; }
  int kills = 0;
};

End resolve(Kind kind, std::string text = "", int exit_code = 0, std::string returned = "") {
  return Ending().resolve({kind, std::move(text), exit_code}, std::move(returned));
}

TEST(Ending, each_way_a_program_ends_has_its_event) {
  EXPECT_EQ(resolve(Kind::kOk, "", 0, "value").kind, EndKind::kCompleted);
  EXPECT_EQ(resolve(Kind::kOk, "", 0, "value").message, "value");
  EXPECT_EQ(resolve(Kind::kErr, "no").kind, EndKind::kException);
  EXPECT_EQ(resolve(Kind::kErr, "no").message, "Runtime error: no");
  EXPECT_EQ(resolve(Kind::kTrap, "unreachable\n at f").message, "unreachable\n at f");
  EXPECT_EQ(resolve(Kind::kTrap, "unreachable").kind, EndKind::kException);
  EXPECT_EQ(resolve(Kind::kExit, "", 0, "value").kind, EndKind::kCompleted);
  EXPECT_EQ(resolve(Kind::kExit, "", 0, "value").message, "value");
  EXPECT_EQ(resolve(Kind::kExit, "", 3).kind, EndKind::kException);
  EXPECT_EQ(resolve(Kind::kExit, "", 3).message, "exit with code 3");
  EXPECT_EQ(resolve(Kind::kLimit, "memory").kind, EndKind::kOutOfResources);
  EXPECT_EQ(resolve(Kind::kLimit, "memory").message, "memory");
  EXPECT_EQ(resolve(Kind::kFault, "ours").kind, EndKind::kServerError);
}

TEST(Ending, terminate_kills_and_is_the_end) {
  Ending ending;
  auto instance = std::make_shared<CountingInstance>();
  ending.attach(instance);
  ending.terminate({EndKind::kAborted, "Signal termination"});
  ending.terminate({EndKind::kServerError, "too late"});
  EXPECT_EQ(instance->kills, 1);
  End end = ending.resolve({.kind = Kind::kKilled}, "");
  EXPECT_EQ(end.kind, EndKind::kAborted);
  EXPECT_EQ(end.message, "Signal termination");
}

TEST(Ending, terminate_before_the_start_is_the_end) {
  Ending ending;
  EXPECT_FALSE(ending.end_before_start());
  ending.terminate({EndKind::kAborted, "Signal termination"});
  EXPECT_EQ(ending.end_before_start()->message, "Signal termination");
}

TEST(Ending, a_text_of_any_length_is_shortened_to_what_fits_a_frame) {
  std::string text(65U << 20, 'x');
  text.replace((16U << 20) - 1, 3, "\xE2\x82\xAC");  // a character on the edge stays whole or goes
  const std::string told = resolve(Kind::kTrap, std::move(text)).message;
  EXPECT_LT(told.size(), (16U << 20) + 100);
  EXPECT_TRUE(is_utf8(told));
  EXPECT_NE(told.find("bytes more)"), std::string::npos);
}

TEST(Ending, terminate_before_the_launch_returned_kills_too) {
  Ending ending;
  ending.terminate({EndKind::kAborted, "Signal termination"});
  auto instance = std::make_shared<CountingInstance>();
  ending.attach(instance);
  EXPECT_EQ(instance->kills, 1);
}

TEST(Ending, program_that_returned_first_has_completed) {
  Ending ending;
  ending.attach(std::make_shared<CountingInstance>());
  ending.terminate({EndKind::kAborted, "Signal termination"});
  EXPECT_EQ(ending.resolve({.kind = Kind::kOk}, "done").message, "done");
}

TEST(Ending, engine_error_is_the_end_however_the_program_goes_on) {
  for (Kind kind : {Kind::kKilled, Kind::kOk, Kind::kTrap}) {
    Ending ending;
    auto instance = std::make_shared<CountingInstance>();
    ending.attach(instance);
    ending.fail({ErrorCode::kResourceExhausted, "KV pages: used 8, allowed 8"});
    EXPECT_EQ(instance->kills, 1);
    End end = ending.resolve({.kind = kind}, "");
    EXPECT_EQ(end.kind, EndKind::kOutOfResources);
    EXPECT_EQ(end.message, "KV pages: used 8, allowed 8");
  }
}

TEST(Ending, engine_error_kinds) {
  auto kind_of = [](ErrorCode code) {
    Ending ending;
    ending.fail({code, "x"});
    return ending.resolve({.kind = Kind::kKilled}, "").kind;
  };
  EXPECT_EQ(kind_of(ErrorCode::kInvalidArgument), EndKind::kException);
  EXPECT_EQ(kind_of(ErrorCode::kUnsupported), EndKind::kException);
  EXPECT_EQ(kind_of(ErrorCode::kInternal), EndKind::kServerError);
}

TEST(Ending, cancelled_pass_is_no_failure) {
  Ending ending;
  auto instance = std::make_shared<CountingInstance>();
  ending.attach(instance);
  ending.fail({ErrorCode::kCancelled, "closed"});
  EXPECT_EQ(instance->kills, 0);
  EXPECT_EQ(ending.resolve({.kind = Kind::kOk}, "").kind, EndKind::kCompleted);
}

TEST(Ending, lets_go_of_the_instance) {
  Ending ending;
  auto instance = std::make_shared<CountingInstance>();
  ending.attach(instance);
  EXPECT_EQ(ending.instance(), instance);
  ending.resolve({.kind = Kind::kOk}, "");
  EXPECT_EQ(ending.instance(), nullptr);
  ending.attach(instance);  // the launch returned after its program
  EXPECT_EQ(ending.instance(), nullptr);
  EXPECT_EQ(instance.use_count(), 1);
}

}  // namespace
}  // namespace pie::host
