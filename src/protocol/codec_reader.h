#pragma once
#include <msgpack.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/messages.h"

namespace pie::protocol::detail {

/// Fills a message from a MessagePack map. The first thing that is wrong is kept as the problem;
/// what follows is read all the same, so that callers check once, at the end. Never throws.
class Reader {
 public:
  template <class T>
  using Ref = T&;

  /// `map` must outlive the reader. `what` names the message in problems.
  Reader(const msgpack::object_map& map, std::string_view what) : map_(map), what_(what) {}

  /// Empty when every field was there and of its type.
  const std::string& problem() const { return problem_; }

  template <class T>
  void operator()(std::string_view name, T& value) {
    const msgpack::object* found = find(name);
    if (found == nullptr) return missing(name);
    take(name, *found, value);
  }
  template <class T>
  void operator()(std::string_view name, std::optional<T>& value) {
    const msgpack::object* found = find(name);
    if (found == nullptr || found->is_nil()) return;
    take(name, *found, value.emplace());
  }
  void chunk(Chunk& chunk);
  void program(ProgramRef& program);
  void output(StreamingOutput::Stream& stream, std::string& text);
  void zero(std::string_view) {}

  /// The field's value, or null. Of repeated keys the first counts.
  const msgpack::object* find(std::string_view name) const;

 private:
  void missing(std::string_view name);
  void ill_typed(std::string_view name, std::string_view expected);

  void take(std::string_view name, const msgpack::object& from, std::string& value);
  void take(std::string_view name, const msgpack::object& from, uint32_t& value);
  void take(std::string_view name, const msgpack::object& from, uint64_t& value);
  void take(std::string_view name, const msgpack::object& from, bool& value);
  void take(std::string_view name, const msgpack::object& from, EventCode& value);
  void take(std::string_view name, const msgpack::object& from, LiveInstance& value);
  void take(std::string_view name, const msgpack::object& from, Bytes& value);
  template <class T>
  void take(std::string_view name, const msgpack::object& from, std::vector<T>& values) {
    if (from.type != msgpack::type::ARRAY) return ill_typed(name, "an array");
    values.resize(from.via.array.size);
    for (uint32_t i = 0; i < from.via.array.size; ++i) take(name, from.via.array.ptr[i], values[i]);
  }

  const msgpack::object_map& map_;
  std::string_view what_;
  std::string problem_;
};

}  // namespace pie::protocol::detail
