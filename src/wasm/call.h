#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wasm/event.h"
#include "wasm/value.h"

namespace pie::wasm {

/// Thrown by a host function: ends the calling instance with Exception; the entry wrapper puts the
/// function's name in front of `what()`.
class GuestError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Thrown by a host function: ends the calling instance with OutOfResources(message).
class LimitError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Thrown by wasi:cli/exit: ends the instance, Completed for 0, else Exception("exit with code N").
class ExitRequest : public std::exception {
 public:
  explicit ExitRequest(int code) : code_(code) {}
  int code() const { return code_; }

 private:
  int code_;
};

/// What a layer above keeps per instance (the ABI's state, WASI's state), reached from every call.
class InstanceContext {
 public:
  virtual ~InstanceContext() = default;
};

/// A variant among the arguments: its case, and what it carries where that is a string.
struct VariantCase {
  std::string name;
  std::string text;
};

/// One call from a program into the host. Valid during the host function only; asynchronous
/// functions take from it what they need before they return their events.
/// Argument accessors check kinds: a mismatch is a bug of ours, reported as GuestError.
class Call {
 public:
  virtual ~Call() = default;

  virtual size_t argument_count() const = 0;
  virtual bool boolean(size_t i) const = 0;
  virtual uint8_t u8(size_t i) const = 0;
  virtual uint16_t u16(size_t i) const = 0;
  virtual uint32_t u32(size_t i) const = 0;
  virtual uint64_t u64(size_t i) const = 0;
  virtual int64_t s64(size_t i) const = 0;
  virtual float f32(size_t i) const = 0;
  virtual std::string_view string(size_t i) const = 0;
  virtual std::string_view enumeration(size_t i) const = 0;  ///< the case's name
  virtual std::optional<uint32_t> optional_u32(size_t i) const = 0;
  virtual std::optional<uint64_t> optional_u64(size_t i) const = 0;
  virtual std::optional<std::string> optional_string(size_t i) const = 0;
  virtual VariantCase variant(size_t i) const = 0;
  virtual std::optional<VariantCase> optional_variant(size_t i) const = 0;
  virtual bool result_is_ok(size_t i) const = 0;
  /// result<_, variant>: the error's case; "" when it is ok.
  virtual std::string result_error(size_t i) const = 0;
  virtual std::vector<uint8_t> bytes(size_t i) const = 0;
  virtual std::vector<uint32_t> u32s(size_t i) const = 0;
  virtual std::vector<float> f32s(size_t i) const = 0;
  virtual std::vector<std::string> strings(size_t i) const = 0;
  virtual std::vector<std::vector<uint32_t>> u32_lists(size_t i) const = 0;
  virtual std::vector<std::string> byte_lists(size_t i) const = 0;  ///< list<list<u8>>
  /// list<tuple<string, list<u8>>>
  virtual std::vector<std::pair<std::string, std::string>> named_bytes(size_t i) const = 0;
  /// list<record>: the string fields of each record, in declaration order.
  virtual std::vector<std::vector<std::string>> string_records(size_t i) const = 0;

  /// The object behind a borrowed or owned handle; throws GuestError when it is not a T.
  template <class T>
  std::shared_ptr<T> object(size_t i) {
    return cast<T>(object_at(i), i);
  }
  /// The objects of a list<borrow<resource>>; also the one of an option or a result, if it has one.
  template <class T>
  std::vector<std::shared_ptr<T>> objects(size_t i) {
    std::vector<std::shared_ptr<T>> all;
    for (auto& one : objects_at(i)) all.push_back(cast<T>(std::move(one), i));
    return all;
  }

  /// Sets the result. Not called for functions without one.
  virtual void ret(Value value) = 0;

  /// The instance's state, as given to Instance at launch under this index.
  template <class T>
  T& context(size_t index) {
    return static_cast<T&>(context_at(index));
  }

 protected:
  virtual std::shared_ptr<Object> object_at(size_t i) = 0;
  virtual std::vector<std::shared_ptr<Object>> objects_at(size_t i) = 0;
  virtual InstanceContext& context_at(size_t index) = 0;

 private:
  template <class T>
  static std::shared_ptr<T> cast(std::shared_ptr<Object> object, size_t i) {
    auto typed = std::dynamic_pointer_cast<T>(std::move(object));
    if (!typed)
      throw GuestError("argument " + std::to_string(i) + " is not a live handle of the right kind");
    return typed;
  }
};

/// Indices of InstanceContext objects.
constexpr size_t kWasiContext = 0;
constexpr size_t kHostContext = 1;
constexpr size_t kContextCount = 2;

/// The object behind `wasi:io/poll/pollable` (resource name kPollableResource), ours and WASI's.
class Pollable final : public Object {
 public:
  explicit Pollable(EventRef event) : event_(std::move(event)) {}
  const EventRef& event() const { return event_; }

 private:
  EventRef event_;
};
inline constexpr const char* kPollableResource = "wasi:io/poll/pollable";
inline Value make_pollable(EventRef event) {
  return Value::handle(kPollableResource, std::make_shared<Pollable>(std::move(event)));
}

}  // namespace pie::wasm
