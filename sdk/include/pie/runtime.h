#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace inferlet {

std::string server_version();
std::string instance_id();
/// Whom this instance runs for.
std::string user();
/// The id of the instance that launched this one as a child; none: a client did.
std::optional<std::string> parent_id();
std::vector<std::string> arguments();
/// The message of the instance's Completed event.
void set_return(std::string_view value);

/// Writes to the client's stdout at once.
void print(std::string_view text);
void print_error(std::string_view text);
void sleep_for(std::chrono::nanoseconds duration);

/// The user's persistent key-value store.
namespace kvs {
std::optional<std::string> get(std::string_view key);
void set(std::string_view key, std::string_view value);
void remove(std::string_view key);
bool exists(std::string_view key);
std::vector<std::string> list_keys();
}  // namespace kvs

}  // namespace inferlet
