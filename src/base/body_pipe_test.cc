#include "base/body_pipe.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace pie {
namespace {

using State = BodyPipe::Read::State;

TEST(BodyPipe, bytes_come_in_order_then_the_end_with_its_trailers) {
  BodyPipe pipe;
  EXPECT_FALSE(pipe.readable());
  EXPECT_EQ(pipe.read(10).state, State::kBytes);
  pipe.write("abc");
  pipe.write("def");
  pipe.end({{"x", "y"}});
  EXPECT_EQ(pipe.read(4).bytes, "abcd");
  EXPECT_EQ(pipe.read(4).bytes, "ef");
  EXPECT_EQ(pipe.read(4).state, State::kEnd);
  EXPECT_EQ(pipe.trailers(), (HttpFields{{"x", "y"}}));
}

TEST(BodyPipe, a_full_pipe_tells_its_writer_when_there_is_room) {
  BodyPipe pipe(4);
  pipe.write("abcdef");
  EXPECT_EQ(pipe.room(), 0U);
  int woken = 0;
  pipe.on_writable([&] { ++woken; });
  EXPECT_EQ(pipe.read(2).bytes, "ab");
  EXPECT_EQ(woken, 0);
  EXPECT_EQ(pipe.read(1).bytes, "c");
  EXPECT_EQ(woken, 1);
  pipe.on_writable([&] { ++woken; });
  EXPECT_EQ(woken, 2);
}

TEST(BodyPipe, who_waits_again_is_woken_once) {
  BodyPipe pipe(1);
  int writer = 0, reader = 0;
  for (int i = 0; i < 10'000; ++i) pipe.on_readable([&] { ++reader; });
  pipe.write("a");
  EXPECT_EQ(reader, 1);
  for (int i = 0; i < 10'000; ++i) pipe.on_writable([&] { ++writer; });
  EXPECT_EQ(pipe.read(1).bytes, "a");
  EXPECT_EQ(writer, 1);
}

TEST(BodyPipe, a_failure_comes_after_the_bytes_before_it_and_wakes_the_reader) {
  BodyPipe pipe;
  int woken = 0;
  pipe.on_readable([&] { ++woken; });
  pipe.write("a");
  EXPECT_EQ(woken, 1);
  pipe.fail({"connection-terminated", "gone"});
  pipe.end();
  EXPECT_EQ(pipe.read(9).bytes, "a");
  EXPECT_EQ(pipe.read(9).state, State::kFailed);
  EXPECT_EQ(pipe.failure()->code, "connection-terminated");
}

TEST(BodyPipe, after_cancel_writes_are_dropped_and_whoever_waits_is_woken) {
  BodyPipe pipe(1);
  pipe.write("ab");
  int woken = 0;
  pipe.on_writable([&] { ++woken; });
  pipe.on_cancelled([&] { ++woken; });
  pipe.cancel();
  EXPECT_EQ(woken, 2);
  pipe.write("c");
  EXPECT_TRUE(pipe.cancelled());
  EXPECT_EQ(pipe.read(9).state, State::kFailed);
}

TEST(BodyPipe, one_thread_to_another_nothing_is_lost_or_repeated) {
  BodyPipe pipe(64);
  constexpr size_t kCount = 20'000;
  std::thread writer([&] {
    for (size_t i = 0; i < kCount; ++i) {
      while (pipe.room() == 0) std::this_thread::yield();
      pipe.write(std::string(1, static_cast<char>('a' + i % 26)));
    }
    pipe.end();
  });
  std::string all;
  for (BodyPipe::Read got = pipe.read(7); got.state == State::kBytes; got = pipe.read(7))
    all += got.bytes;
  writer.join();
  ASSERT_EQ(all.size(), kCount);
  for (size_t i = 0; i < kCount; ++i) ASSERT_EQ(all[i], 'a' + static_cast<char>(i % 26)) << i;
}

TEST(Http, fields_and_targets_that_could_become_another_line_are_refused) {
  EXPECT_TRUE(is_http_token("content-type"));
  for (const char* text : {"", "a b", "a:", "a\r", "\xc3\xb6"}) EXPECT_FALSE(is_http_token(text));
  EXPECT_TRUE(is_http_field_value("a \t\xc3\xb6"));
  for (const char* text : {"a\r\nb", "\n", "\x7f"}) EXPECT_FALSE(is_http_field_value(text));
  EXPECT_TRUE(is_http_target("/a?b=%20"));
  for (const char* text : {"", "a", "/a b", "/a\r\n", "/a#b"}) EXPECT_FALSE(is_http_target(text));
  for (const char* text : {"", "a:1", "[::1]:80"}) EXPECT_TRUE(is_http_authority(text));
  for (const char* text : {"a b", "a/b", "u@a", "a#b", "a\n"})
    EXPECT_FALSE(is_http_authority(text)) << text;
  EXPECT_TRUE(is_connection_field("Transfer-Encoding"));
  EXPECT_FALSE(is_connection_field("content-length"));
  EXPECT_EQ(content_length({{"Content-Length", "12"}}), 12U);
  EXPECT_FALSE(content_length({{"content-length", "12, 12"}}).has_value());
}

}  // namespace
}  // namespace pie
