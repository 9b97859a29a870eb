#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pie::wasm {

/// A host object behind a guest's handle (a WIT resource). Lives in its instance's handle table.
class Object {
 public:
  virtual ~Object() = default;
};

/// A component-model value that a host function returns. Strings are made valid UTF-8 where they
/// cross into the runtime (anything else aborts the process), so callers need not.
class Value {
 public:
  static Value boolean(bool v);
  static Value u8(uint8_t v);
  static Value u16(uint16_t v);
  static Value u32(uint32_t v);
  static Value u64(uint64_t v);
  static Value s32(int32_t v);
  static Value s64(int64_t v);
  static Value f32(float v);
  static Value string(std::string v);
  static Value enumeration(std::string name);
  static Value variant(std::string name);
  static Value variant(std::string name, Value payload);
  static Value some(Value v);
  static Value none();
  static Value ok();
  static Value ok(Value v);
  static Value err();
  static Value err(Value v);
  static Value list(std::vector<Value> items);
  static Value u32s(std::vector<uint32_t> items);  ///< list<u32>, without a Value per item
  static Value f32s(std::vector<float> items);     ///< list<f32>
  static Value bytes(std::vector<uint8_t> items);  ///< list<u8>
  static Value tuple(std::vector<Value> items);
  static Value record(std::vector<std::pair<std::string, Value>> fields);
  /// An own<resource> handle to `object`; `resource` is "interface/name" without a version, as
  /// given to Registry::resource.
  static Value handle(std::string resource, std::shared_ptr<Object> object);

  struct Node;  ///< defined in value_convert.h, for the layer itself
  explicit Value(std::shared_ptr<Node> node) : node_(std::move(node)) {}
  const Node& node() const { return *node_; }

 private:
  std::shared_ptr<Node> node_;
};

}  // namespace pie::wasm
