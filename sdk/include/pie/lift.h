#pragma once
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "pie/abi.h"

namespace inferlet::lift {

/// Takes over what the host returned: copies it and frees the host's memory.
inline std::string text(abi::Text in) {
  std::string out(in.data, in.size);
  if (in.size != 0) std::free(in.data);
  return out;
}

template <class T>
std::vector<T> numbers(abi::Slice<T> in) {
  std::vector<T> out(in.data, in.data + in.size);
  if (in.size != 0) std::free(in.data);
  return out;
}

inline std::vector<std::string> texts(abi::Slice<abi::Text> in) {
  std::vector<std::string> out;
  out.reserve(in.size);
  for (uint32_t i = 0; i < in.size; ++i) out.push_back(text(in.data[i]));
  if (in.size != 0) std::free(in.data);
  return out;
}

/// Lends a text to the host for one call.
inline abi::Text lend(std::string_view in) {
  return {const_cast<char*>(in.data()), static_cast<uint32_t>(in.size())};
}

inline uint32_t size(std::string_view in) { return static_cast<uint32_t>(in.size()); }

}  // namespace inferlet::lift
