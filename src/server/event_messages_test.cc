#include "server/event_messages.h"

#include <gtest/gtest.h>

#include <string>

#include "base/utf8.h"

namespace pie::server {
namespace {

TEST(EventMessages, long_texts_are_cut_into_frames_or_shortened) {
  const auto event = [](EventKind kind, std::string text) {
    return instance::Event{1, kind, {}, std::make_shared<std::string>(std::move(text))};
  };
  std::string output;
  while (output.size() < 3U << 20) output += "\xE2\x82\xAC";
  std::string joined;
  for (const auto& one : event_messages("i", event(EventKind::kStdout, output))) {
    const auto& text = std::get<protocol::StreamingOutput>(one).text;
    EXPECT_LE(text.size(), 1U << 20);
    EXPECT_TRUE(is_utf8(text));
    joined += text;
  }
  EXPECT_EQ(joined, output);
  const std::string longest(16U << 20, 'm');
  for (const size_t more : {0U, 1U, 1U << 20}) {
    const auto one = event(EventKind::kEnd, longest + std::string(more, 'm'));
    const auto messages = event_messages("i", one);
    ASSERT_EQ(messages.size(), 1u);
    const auto& text = std::get<protocol::InstanceEvent>(messages[0]).message;
    EXPECT_EQ(text.size() > longest.size(), more > 0);
    EXPECT_LT(text.size(), longest.size() + 100);
  }
}

TEST(EventMessages, a_blob_becomes_chunks_and_an_empty_one_a_single_empty_chunk) {
  instance::Event event{1, EventKind::kBlob, {}, std::make_shared<std::string>()};
  auto messages = event_messages("i", event);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(std::get<protocol::DownloadBlob>(messages[0]).chunk.total, 1u);
  event.payload = std::make_shared<std::string>(262'145, 'x');
  messages = event_messages("i", event);
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(std::get<protocol::DownloadBlob>(messages[1]).chunk.data.size(), 1u);
}

}  // namespace
}  // namespace pie::server
