#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pie::instance {

/// What lists say of one instance's arguments, in bytes.
inline constexpr size_t kListedArgumentsBytesMax = 64U << 10;

/// What arguments take in memory, about.
uint64_t arguments_bytes(const std::vector<std::string>& arguments);

/// The arguments as lists show them, together at most about `bytes_max`: the first ones, the last
/// of these shortened, and how many more there are.
std::vector<std::string> shortened_arguments(const std::vector<std::string>& arguments,
                                             size_t bytes_max);

}  // namespace pie::instance
