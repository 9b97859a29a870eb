#include "protocol/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

// GCC 12 takes the clean-up of braced temporaries for a use of what they did not fill yet.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace pie::protocol {
namespace {

using testing::HasSubstr;
using namespace std::string_literals;

const std::string kHash(64, 'a');

ClientMessage client_message(const std::string& frame) {
  DecodedClientMessage decoded = decode_client_message(frame);
  if (const auto* error = std::get_if<DecodeError>(&decoded)) {
    ADD_FAILURE() << error->error.message;
    return {};
  }
  return std::get<ClientMessage>(decoded);
}

DecodeError client_error(const std::string& frame, const DecodeLimits& limits = {}) {
  DecodedClientMessage decoded = decode_client_message(frame, limits);
  if (std::holds_alternative<ClientMessage>(decoded)) {
    ADD_FAILURE() << "decoded to " << type_of(std::get<ClientMessage>(decoded));
    return {};
  }
  return std::get<DecodeError>(decoded);
}

TEST(Codec, reads_hand_written_bytes_of_a_ping) {
  // fixmap 2: "type" -> "ping", "corr_id" -> 7
  const std::string frame = "\x82\xa4type\xa4ping\xa7"s + "corr_id\x07";
  EXPECT_EQ(client_message(frame), ClientMessage(Ping{7}));
}

TEST(Codec, writes_the_bytes_of_the_specification) {
  EXPECT_EQ(encode(ClientMessage(Ping{7})), "\x82\xa4type\xa4ping\xa7"s + "corr_id\x07");
  EXPECT_EQ(encode(ServerMessage(StreamingOutput{"i", StreamingOutput::Stream::kStderr, "hé"})),
            "\x83\xa4type\xb0streaming_output\xabinstance_id\xa1i\xa6output\x81\xa6"
            "Stderr\xa3h\xc3\xa9"s);
}

TEST(Codec, every_client_message_comes_back_as_it_was) {
  const Chunk chunk{1, 3, {0, 1, 255, 128}};
  const std::vector<ClientMessage> messages = {
      Identification{1, "ada"},
      Signature{2, "c2lnbmF0dXJl"},
      InternalAuthenticate{3, "token"},
      Query{4, "program_exists", "std/a@1"},
      UploadProgram{5, kHash, chunk, std::nullopt},
      UploadProgram{6, kHash, chunk, "[package]"},
      LaunchInstance{7, {ProgramRef::Kind::kHash, kHash}, {"--n", "1"}, true, std::nullopt},
      LaunchInstance{8, {ProgramRef::Kind::kName, "std/a"}, {}, false, "a"},
      LaunchInstanceFromRegistry{9, "text-completion", {"x"}, true},
      LaunchServerInstance{10, 8080, {ProgramRef::Kind::kName, "web"}, {"y"}, std::nullopt},
      AttachInstance{11, "id"},
      SignalInstance{std::nullopt, "id", "héllo"},
      SignalInstance{12, "id", ""},
      UploadBlob{13, "id", kHash, chunk},
      TerminateInstance{14, "id"},
      AttachRemoteService{15, "e", "t", "n"},
      ListInstances{16},
      Ping{UINT32_MAX},
  };
  for (const ClientMessage& message : messages) {
    EXPECT_EQ(client_message(encode(message)), message) << type_of(message);
  }
}

TEST(Codec, every_server_message_comes_back_as_it_was) {
  const std::vector<ServerMessage> messages = {
      Response{1, true, "Pong"},
      InstanceLaunchResult{2, true, "id"},
      InstanceAttachResult{3, false, "Instance not found"},
      InstanceEvent{"id", EventCode::kOutOfResources, "memory"},
      StreamingOutput{"id", StreamingOutput::Stream::kStdout, "out"},
      DownloadBlob{"id", kHash, {0, 1, Bytes(70'000, 7)}},
      LiveInstances{4, {{"id", "cmd", {"a", "b"}, "Detached", "ada", 1ull << 40, 12}, {}}},
      ServerEvent{"hello"},
  };
  for (const ServerMessage& message : messages) {
    const DecodedServerMessage decoded = decode_server_message(encode(message));
    ASSERT_TRUE(std::holds_alternative<ServerMessage>(decoded))
        << std::get<DecodeError>(decoded).error.message;
    EXPECT_EQ(std::get<ServerMessage>(decoded), message);
  }
}

TEST(Codec, a_launch_takes_its_program_from_every_window) {
  // W1: program_hash and cmd_name.
  const std::string w1 = "\x86\xa4type\xaflaunch_instance\xa7"s + "corr_id\x01\xac" +
                         "program_hash\xa3"s + "abc\xa9" + "arguments\x90\xa8" +
                         "detached\xc2\xa8"s + "cmd_name\xa1" + "x";
  EXPECT_EQ(client_message(w1),
            ClientMessage(LaunchInstance{1, {ProgramRef::Kind::kHash, "abc"}, {}, false, "x"}));
  // W4 with a hash where the name belongs.
  const std::string w4 = "\x85\xa4type\xaflaunch_instance\xa7"s + "corr_id\x01\xa8" +
                         "inferlet\xd9\x40"s + kHash + "\xa9" + "arguments\x90\xa8" +
                         "detached\xc3";
  EXPECT_EQ(client_message(w4), ClientMessage(LaunchInstance{
                                    1, {ProgramRef::Kind::kHash, kHash}, {}, true, std::nullopt}));
}

TEST(Codec, unknown_keys_are_ignored_and_bytes_may_travel_as_str) {
  const std::string frame = "\x88\xa4type\xabupload_blob\xa5weird\x93\x01\xc0\x80\xa7"s +
                            "corr_id\x05\xab" + "instance_id\xa1i\xa9"s + "blob_hash\xa1h\xab" +
                            "chunk_index\x00\xac"s + "total_chunks\x01\xaa" +
                            "chunk_data\xa2\xff\x00"s;
  EXPECT_EQ(client_message(frame), ClientMessage(UploadBlob{5, "i", "h", {0, 1, {0xff, 0x00}}}));
}

TEST(Codec, a_missing_field_is_an_error_that_can_be_answered) {
  const DecodeError error = client_error("\x82\xa4type\xa5query\xa7"s + "corr_id\x09");
  EXPECT_EQ(error.corr_id, 9u);
  EXPECT_EQ(error.type, "query");
  EXPECT_THAT(error.error.message, HasSubstr("got no field 'subject'"));
}

TEST(Codec, an_ill_typed_field_is_an_error_that_can_be_answered) {
  const DecodeError error =
      client_error("\x83\xa4type\xaeidentification\xa7"s + "corr_id\x09\xa8" + "username\x01");
  EXPECT_EQ(error.corr_id, 9u);
  EXPECT_THAT(error.error.message, HasSubstr("'username', expected a string"));
}

TEST(Codec, text_that_is_not_utf8_is_refused) {
  const DecodeError error = client_error("\x83\xa4type\xaeidentification\xa7"s + "corr_id\x09\xa8" +
                                         "username\xa2\xc3\x28");
  EXPECT_EQ(error.corr_id, 9u);
  EXPECT_THAT(error.error.message, HasSubstr("UTF-8"));
}

TEST(Codec, what_carries_no_usable_corr_id_closes_the_connection) {
  const DecodeError negative = client_error("\x82\xa4type\xa4ping\xa7"s + "corr_id\xff");
  EXPECT_EQ(negative.corr_id, std::nullopt);
  EXPECT_EQ(negative.close_code, 1008);
  const DecodeError too_large =
      client_error("\x82\xa4type\xa4ping\xa7"s + "corr_id\xcf\x00\x00\x00\x01\x00\x00\x00\x00"s);
  EXPECT_EQ(too_large.corr_id, std::nullopt);
  const DecodeError unknown = client_error("\x81\xa4type\xa5weird"s);
  EXPECT_EQ(unknown.close_code, 1008);
  EXPECT_THAT(unknown.error.message, HasSubstr("unknown type 'weird'"));
  EXPECT_EQ(client_error("\x93\x01\x02\x03").close_code, 1008);
}

TEST(Codec, an_unknown_type_with_a_corr_id_can_be_answered) {
  const DecodeError error = client_error("\x82\xa4type\xa5weird\xa7"s + "corr_id\x04");
  EXPECT_EQ(error.corr_id, 4u);
}

TEST(Codec, bytes_that_are_not_messagepack_are_1007) {
  EXPECT_EQ(client_error("").close_code, 1007);
  EXPECT_EQ(client_error("\xc1").close_code, 1007);
  EXPECT_EQ(client_error("\x82\xa4type").close_code, 1007);
  EXPECT_EQ(client_error("\x81\xa4type\xa4ping!").close_code, 1007);
}

TEST(Codec, hostile_sizes_and_depths_are_refused_before_memory_is_taken) {
  EXPECT_EQ(client_error("\x81\xa4type\xdd\xff\xff\xff\xff").close_code, 1007);
  EXPECT_EQ(client_error("\xdf\xff\xff\xff\xff").close_code, 1007);
  EXPECT_EQ(client_error("\x81\xa4type\xdb\xff\xff\xff\xff").close_code, 1007);
  EXPECT_EQ(client_error("\x81\xa1x" + std::string(100'000, '\x91') + "\xc0").close_code, 1007);
  const DecodeError large = client_error(std::string(101, '\x01'), {.frame_bytes_max = 100});
  EXPECT_EQ(large.close_code, 1008);
  EXPECT_THAT(large.error.message, HasSubstr("got 101 bytes, expected at most 100"));
}

TEST(Codec, damaged_frames_never_crash) {
  const std::vector<std::string> frames = {
      encode(ClientMessage(UploadProgram{5, kHash, {0, 1, Bytes(40, 1)}, "m"})),
      encode(
          ClientMessage(LaunchInstance{7, {ProgramRef::Kind::kName, "n"}, {"a", "b"}, true, {}})),
      encode(ServerMessage(LiveInstances{4, {{"id", "cmd", {"a"}, "Detached", "u", 1, 2}}})),
      encode(ServerMessage(StreamingOutput{"id", StreamingOutput::Stream::kStdout, "out"})),
  };
  std::mt19937 random(20260309);
  for (int round = 0; round < 20'000; ++round) {
    std::string frame = frames[random() % frames.size()];
    for (unsigned n = 1 + random() % 3; n > 0; --n) {
      frame[random() % frame.size()] = static_cast<char>(random());
    }
    frame.resize(random() % 8 == 0 ? random() % (frame.size() + 1) : frame.size());
    // Whatever decodes encodes again; the rest says why it does not.
    const DecodedClientMessage client = decode_client_message(frame);
    if (const auto* message = std::get_if<ClientMessage>(&client)) {
      EXPECT_EQ(client_message(encode(*message)), *message);
    } else {
      EXPECT_FALSE(std::get<DecodeError>(client).error.message.empty());
    }
    const DecodedServerMessage server = decode_server_message(frame);
    if (const auto* error = std::get_if<DecodeError>(&server)) {
      EXPECT_FALSE(error->error.message.empty());
    }
  }
}

}  // namespace
}  // namespace pie::protocol
