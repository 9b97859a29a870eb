#include "pie/runtime.h"

#include <cstdio>
#include <ctime>

#include "pie/instance_abi.h"
#include "pie/lift.h"

namespace inferlet {

std::string server_version() {
  abi::Text out;
  abi::runtime_get_version(&out);
  return lift::text(out);
}

std::string instance_id() {
  abi::Text out;
  abi::runtime_get_instance_id(&out);
  return lift::text(out);
}

std::string user() {
  abi::Text out;
  abi::instance_user(&out);
  return lift::text(out);
}

std::optional<std::string> parent_id() {
  abi::Option<abi::Text> out;
  abi::instance_parent(&out);
  if (out.has == 0) return std::nullopt;
  return lift::text(out.value);
}

std::vector<std::string> arguments() {
  abi::Slice<abi::Text> out;
  abi::runtime_get_arguments(&out);
  return lift::texts(out);
}

void set_return(std::string_view value) { abi::runtime_set_return(value.data(), value.size()); }

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void print_error(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

void sleep_for(std::chrono::nanoseconds duration) {
  if (duration.count() <= 0) return;
  constexpr int64_t kSecond = 1'000'000'000;
  timespec time{.tv_sec = duration.count() / kSecond,
                .tv_nsec = static_cast<long>(duration.count() % kSecond)};
  nanosleep(&time, nullptr);
}

namespace kvs {

std::optional<std::string> get(std::string_view key) {
  abi::Option<abi::Text> out;
  abi::kvs_get(key.data(), key.size(), &out);
  if (out.has == 0) return std::nullopt;
  return lift::text(out.value);
}

void set(std::string_view key, std::string_view value) {
  abi::kvs_set(key.data(), key.size(), value.data(), value.size());
}

void remove(std::string_view key) { abi::kvs_delete(key.data(), key.size()); }

bool exists(std::string_view key) { return abi::kvs_exists(key.data(), key.size()) != 0; }

std::vector<std::string> list_keys() {
  abi::Slice<abi::Text> out;
  abi::kvs_list_keys(&out);
  return lift::texts(out);
}

}  // namespace kvs
}  // namespace inferlet
