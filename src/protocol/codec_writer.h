#pragma once
#include <msgpack.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/codec_fields.h"
#include "protocol/messages.h"

namespace pie::protocol::detail {

/// Counts the fields that Writer will write: MessagePack wants a map's size first.
class Counter {
 public:
  template <class T>
  using Ref = const T&;

  template <class T>
  void operator()(std::string_view, const T&) {
    ++count_;
  }
  template <class T>
  void operator()(std::string_view, const std::optional<T>& value) {
    if (value) ++count_;
  }
  void chunk(const Chunk&) { count_ += 3; }
  void program(const ProgramRef&) { ++count_; }
  void output(StreamingOutput::Stream, const std::string&) { ++count_; }
  void zero(std::string_view) { ++count_; }

  uint32_t count() const { return count_; }

 private:
  uint32_t count_ = 0;
};

/// Appends a message's fields to a byte string.
class Writer {
 public:
  template <class T>
  using Ref = const T&;

  explicit Writer(std::string& out) : sink_{out}, packer_(sink_) {}

  /// A map of the message's fields, with "type" first when it has one.
  template <class Message>
  void message(const Message& m) {
    Counter counter;
    describe(counter, m);
    if constexpr (requires { Message::kType; }) {
      packer_.pack_map(counter.count() + 1);
      text("type");
      text(Message::kType);
    } else {
      packer_.pack_map(counter.count());
    }
    describe(*this, m);
  }

  template <class T>
  void operator()(std::string_view name, const T& value) {
    text(name);
    put(value);
  }
  template <class T>
  void operator()(std::string_view name, const std::optional<T>& value) {
    if (value) (*this)(name, *value);
  }
  void chunk(const Chunk& chunk) {
    (*this)("chunk_index", chunk.index);
    (*this)("total_chunks", chunk.total);
    text("chunk_data");
    const auto size = static_cast<uint32_t>(chunk.data.size());
    packer_.pack_bin(size);
    packer_.pack_bin_body(reinterpret_cast<const char*>(chunk.data.data()), size);
  }
  void program(const ProgramRef& program) {
    (*this)(program.kind == ProgramRef::Kind::kHash ? "program_hash" : "inferlet", program.text);
  }
  void output(StreamingOutput::Stream stream, const std::string& value) {
    text("output");
    packer_.pack_map(1);
    (*this)(stream == StreamingOutput::Stream::kStdout ? "Stdout" : "Stderr", value);
  }
  void zero(std::string_view name) { (*this)(name, uint32_t{0}); }

 private:
  struct Sink {
    std::string& out;
    void write(const char* bytes, size_t size) { out.append(bytes, size); }
  };

  void text(std::string_view value) {
    const auto size = static_cast<uint32_t>(value.size());
    packer_.pack_str(size);
    packer_.pack_str_body(value.data(), size);
  }
  void put(const std::string& value) { text(value); }
  void put(uint32_t value) { packer_.pack_uint32(value); }
  void put(uint64_t value) { packer_.pack_uint64(value); }
  void put(bool value) { value ? packer_.pack_true() : packer_.pack_false(); }
  void put(EventCode value) { put(static_cast<uint32_t>(value)); }
  void put(const LiveInstance& value) { message(value); }
  template <class T>
  void put(const std::vector<T>& values) {
    packer_.pack_array(static_cast<uint32_t>(values.size()));
    for (const T& value : values) put(value);
  }

  Sink sink_;
  msgpack::packer<Sink> packer_;
};

}  // namespace pie::protocol::detail
