#include "wasm/value.h"

#include "wasm/value_convert.h"

namespace pie::wasm {
namespace {

template <class T>
Value make(T of) {
  auto node = std::make_shared<Value::Node>();
  node->of = std::move(of);
  return Value(std::move(node));
}

}  // namespace

using Node = Value::Node;

Value Value::boolean(bool v) { return make(v); }
Value Value::u8(uint8_t v) { return make(v); }
Value Value::u16(uint16_t v) { return make(v); }
Value Value::u32(uint32_t v) { return make(v); }
Value Value::u64(uint64_t v) { return make(v); }
Value Value::s32(int32_t v) { return make(v); }
Value Value::s64(int64_t v) { return make(v); }
Value Value::f32(float v) { return make(v); }
Value Value::string(std::string v) { return make(Node::Text{std::move(v)}); }
Value Value::enumeration(std::string name) { return make(Node::Enumeration{std::move(name)}); }
Value Value::variant(std::string name) {
  return make(Node::Variant{std::move(name), std::nullopt});
}
Value Value::variant(std::string name, Value payload) {
  return make(Node::Variant{std::move(name), std::move(payload)});
}
Value Value::some(Value v) { return make(Node::Option{std::move(v)}); }
Value Value::none() { return make(Node::Option{}); }
Value Value::ok() { return make(Node::Outcome{true, std::nullopt}); }
Value Value::ok(Value v) { return make(Node::Outcome{true, std::move(v)}); }
Value Value::err() { return make(Node::Outcome{false, std::nullopt}); }
Value Value::err(Value v) { return make(Node::Outcome{false, std::move(v)}); }
Value Value::list(std::vector<Value> items) { return make(Node::List{std::move(items)}); }
Value Value::u32s(std::vector<uint32_t> items) { return make(std::move(items)); }
Value Value::f32s(std::vector<float> items) { return make(std::move(items)); }
Value Value::bytes(std::vector<uint8_t> items) { return make(std::move(items)); }
Value Value::tuple(std::vector<Value> items) { return make(Node::Tuple{std::move(items)}); }
Value Value::record(std::vector<std::pair<std::string, Value>> fields) {
  return make(Node::Record{std::move(fields)});
}
Value Value::handle(std::string resource, std::shared_ptr<Object> object) {
  return make(Node::Handle{std::move(resource), std::move(object)});
}

}  // namespace pie::wasm
