#pragma once
#include <pie/abi.h>
#include <pie/lift.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace probe {

namespace abi = inferlet::abi;
namespace lift = inferlet::lift;

/// Tells the client what is wrong with its command, and exits with code 2.
[[noreturn]] void refuse(const std::string& why);

/// The words of a command, read one by one; a missing or malformed one is refused.
class Words {
 public:
  explicit Words(std::string_view line);
  std::string word();
  std::string text();  ///< HEX
  uint32_t number();
  uint64_t number64();
  float real();
  std::vector<uint32_t> list();       ///< LIST
  std::vector<uint32_t> positions();  ///< @LIST
  std::vector<std::string> rest();    ///< every word that is left
  bool done() const { return next_ == words_.size(); }

 private:
  std::vector<std::string> words_;
  size_t next_ = 0;
};

std::vector<uint32_t> parse_list(std::string_view word);
std::vector<std::string> split(std::string_view text, char separator);
std::string unhex(std::string_view hex);

/// How answers are written.
std::string hex(std::string_view bytes);
std::string hexes(const std::vector<std::string>& texts);
std::string join(std::span<const uint32_t> numbers);
std::string ok(const std::string& rest = "");

/// Handles of one kind, numbered in the order they were made; one is in use.
class Handles {
 public:
  std::string add(abi::Handle handle);  ///< its number, as an answer
  void use(uint32_t number);
  abi::Handle get() const;
  abi::Handle at(uint32_t number) const;
  abi::Handle take();  ///< for a call that drops or consumes it; the last one left comes in use

 private:
  static constexpr abi::Handle kGone = -1;
  std::vector<abi::Handle> handles_;
  uint32_t current_ = 0;
};

struct State {
  Handles models, queues, passes, results, blobs, subscriptions;
  abi::Handle tokenizer = 0, tokenizer_model = 0;
  bool has_tokenizer = false;
  bool ended = false;
  bool failed = false;
  std::string end_text;
};

using Command = std::string (*)(State&, Words&);
struct Entry {
  const char* name;
  Command command;
};

/// The commands, by part of the ABI.
std::span<const Entry> runtime_commands();
std::span<const Entry> forward_commands();
std::span<const Entry> text_commands();
std::span<const Entry> message_commands();
std::span<const Entry> unserved_commands();

/// Sleeps until the pollable is ready, and drops it.
void block(abi::Handle pollable);

}  // namespace probe
