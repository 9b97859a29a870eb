#include "protocol/codec_reader.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "crypto/blake3.h"
#include "protocol/codec_fields.h"

namespace pie::protocol::detail {
namespace {

std::string_view text_of(const msgpack::object& object) {
  return {object.via.str.ptr, object.via.str.size};
}

}  // namespace

const msgpack::object* Reader::find(std::string_view name) const {
  for (uint32_t i = 0; i < map_.size; ++i) {
    const msgpack::object_kv& entry = map_.ptr[i];
    if (entry.key.type == msgpack::type::STR && text_of(entry.key) == name) return &entry.val;
  }
  return nullptr;
}

void Reader::missing(std::string_view name) {
  if (!problem_.empty()) return;
  problem_ = fmt::format("[{}] got no field '{}', expected one", what_, name);
}

void Reader::ill_typed(std::string_view name, std::string_view expected) {
  if (!problem_.empty()) return;
  problem_ =
      fmt::format("[{}] got another type in the field '{}', expected {}", what_, name, expected);
}

void Reader::take(std::string_view name, const msgpack::object& from, std::string& value) {
  if (from.type != msgpack::type::STR) return ill_typed(name, "a string");
  if (!is_utf8(text_of(from))) return ill_typed(name, "a string of valid UTF-8");
  value = text_of(from);
}

void Reader::take(std::string_view name, const msgpack::object& from, uint32_t& value) {
  if (from.type != msgpack::type::POSITIVE_INTEGER || from.via.u64 > UINT32_MAX) {
    return ill_typed(name, "an integer from 0 to 4294967295");
  }
  value = static_cast<uint32_t>(from.via.u64);
}

void Reader::take(std::string_view name, const msgpack::object& from, uint64_t& value) {
  if (from.type != msgpack::type::POSITIVE_INTEGER) {
    return ill_typed(name, "an integer from 0 on");
  }
  value = from.via.u64;
}

void Reader::take(std::string_view name, const msgpack::object& from, bool& value) {
  if (from.type != msgpack::type::BOOLEAN) return ill_typed(name, "true or false");
  value = from.via.boolean;
}

void Reader::take(std::string_view name, const msgpack::object& from, EventCode& value) {
  constexpr auto kLast = static_cast<uint64_t>(EventCode::kOutOfResources);
  if (from.type != msgpack::type::POSITIVE_INTEGER || from.via.u64 > kLast) {
    return ill_typed(name, "an event code from 0 to 5");
  }
  value = static_cast<EventCode>(from.via.u64);
}

void Reader::take(std::string_view name, const msgpack::object& from, LiveInstance& value) {
  if (from.type != msgpack::type::MAP) return ill_typed(name, "an array of maps");
  Reader reader(from.via.map, name);
  describe(reader, value);
  if (problem_.empty()) problem_ = reader.problem();
}

void Reader::take(std::string_view name, const msgpack::object& from, Bytes& value) {
  // Encoders older than the bin type (MessagePack before 2013) send bytes as str.
  if (from.type == msgpack::type::BIN) {
    value.assign(from.via.bin.ptr, from.via.bin.ptr + from.via.bin.size);
  } else if (from.type == msgpack::type::STR) {
    value.assign(from.via.str.ptr, from.via.str.ptr + from.via.str.size);
  } else {
    ill_typed(name, "binary data");
  }
}

void Reader::chunk(Chunk& chunk) {
  (*this)("chunk_index", chunk.index);
  (*this)("total_chunks", chunk.total);
  (*this)("chunk_data", chunk.data);
}

void Reader::program(ProgramRef& program) {
  const bool by_hash = find("inferlet") == nullptr && find("program_hash") != nullptr;
  (*this)(by_hash ? "program_hash" : "inferlet", program.text);
  program.kind = by_hash || crypto::is_blake3_hex(program.text) ? ProgramRef::Kind::kHash
                                                                : ProgramRef::Kind::kName;
}

void Reader::output(StreamingOutput::Stream& stream, std::string& text) {
  const msgpack::object* found = find("output");
  if (found == nullptr) return missing("output");
  if (found->type != msgpack::type::MAP) return ill_typed("output", "a map");
  Reader inner(found->via.map, what_);
  const bool is_stderr = inner.find("Stdout") == nullptr;
  stream = is_stderr ? StreamingOutput::Stream::kStderr : StreamingOutput::Stream::kStdout;
  inner(is_stderr ? "Stderr" : "Stdout", text);
  if (problem_.empty()) problem_ = inner.problem();
}

}  // namespace pie::protocol::detail
