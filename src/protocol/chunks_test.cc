#include "protocol/chunks.h"

#include <gtest/gtest.h>

#include <vector>

namespace pie::protocol {
namespace {

using Step = ChunkReceiver::Step;

Chunk chunk(uint32_t index, uint32_t total, std::string_view text) {
  return {index, total, Bytes(text.begin(), text.end())};
}

TEST(Chunks, a_whole_upload_is_stored_piece_by_piece) {
  ChunkReceiver receiver(crypto::blake3_hex("hello world"));
  EXPECT_EQ(receiver.accept(chunk(0, 3, "hello")), Step::kStore);
  EXPECT_EQ(receiver.accept(chunk(1, 3, " ")), Step::kStore);
  EXPECT_EQ(receiver.accept(chunk(2, 3, "world")), Step::kComplete);
  EXPECT_EQ(receiver.bytes_received(), 11u);
}

TEST(Chunks, zero_bytes_are_one_empty_chunk) {
  EXPECT_EQ(chunk_count(0), 1u);
  EXPECT_EQ(chunk_count(262'144), 1u);
  EXPECT_EQ(chunk_count(262'145), 2u);
  ChunkReceiver receiver(crypto::blake3_hex(""));
  EXPECT_EQ(receiver.accept(chunk(0, 1, "")), Step::kComplete);
}

/// Sends the chunks and returns the error told at the last one; before it nothing may be told.
std::string failure(ChunkReceiver receiver, const std::vector<Chunk>& chunks) {
  for (size_t i = 0; i + 1 < chunks.size(); ++i) {
    const Step step = receiver.accept(chunks[i]);
    EXPECT_TRUE(step == Step::kStore || step == Step::kDiscard) << "at chunk " << i;
  }
  EXPECT_EQ(receiver.accept(chunks.back()), Step::kFailed);
  return receiver.error().message;
}

TEST(Chunks, what_is_wrong_is_told_once_at_the_last_chunk_in_the_protocols_words) {
  EXPECT_EQ(failure(ChunkReceiver("h"), {chunk(1, 3, ""), chunk(2, 3, "")}),
            "First chunk index must be 0");
  EXPECT_EQ(failure(ChunkReceiver("h"), {chunk(0, 3, ""), chunk(1, 4, ""), chunk(3, 4, "")}),
            "Chunk count mismatch: expected 3, got 4");
  EXPECT_EQ(failure(ChunkReceiver("h"), {chunk(0, 4, ""), chunk(2, 4, ""), chunk(3, 4, "")}),
            "Out-of-order chunk: expected 1, got 2");
  EXPECT_EQ(failure(ChunkReceiver("h"), {chunk(0, 2, std::string(262'145, 'x')), chunk(1, 2, "")}),
            "Chunk size 262145 exceeds limit 262144");
  EXPECT_EQ(failure(ChunkReceiver("h"), {chunk(0, 1, "abc")}),
            "Hash mismatch: expected h, got " + crypto::blake3_hex("abc"));
}

TEST(Chunks, more_than_the_limit_is_refused) {
  ChunkReceiver receiver(crypto::blake3_hex("abcdef"), 5);
  EXPECT_EQ(receiver.accept(chunk(0, 2, "abc")), Step::kStore);
  EXPECT_EQ(receiver.accept(chunk(1, 2, "def")), Step::kFailed);
  EXPECT_EQ(receiver.error().code, ErrorCode::kResourceExhausted);
}

TEST(Chunks, a_failure_of_the_receiver_itself_is_told_at_the_last_chunk) {
  ChunkReceiver receiver(crypto::blake3_hex("ab"));
  EXPECT_EQ(receiver.accept(chunk(0, 2, "a")), Step::kStore);
  receiver.fail({ErrorCode::kInternal, "disk full"});
  EXPECT_EQ(receiver.accept(chunk(1, 2, "b")), Step::kFailed);
  EXPECT_EQ(receiver.error().message, "disk full");
}

TEST(Chunks, no_chunks_at_all_and_huge_numbers_are_refused) {
  ChunkReceiver none("h");
  EXPECT_EQ(none.accept(chunk(0, 0, "")), Step::kFailed);
  ChunkReceiver huge("h");
  EXPECT_EQ(huge.accept(chunk(UINT32_MAX, UINT32_MAX, "")), Step::kFailed);
}

}  // namespace
}  // namespace pie::protocol
