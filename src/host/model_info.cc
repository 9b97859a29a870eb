#include "host/define.h"
#include "host/objects.h"
#include "model/model.h"

namespace pie::host {
namespace {

using wasm::Call;
using wasm::Value;

/// `get: func(model: borrow<model>) -> record{context-length: u32, vocab-size: u32, bos-token:
/// option<u32>, adds-bos: bool}`.
void get(Call& call) {
  const model::ModelInfo& info = call.object<ModelObject>(0)->service.info();
  std::vector<std::pair<std::string, Value>> fields;
  fields.emplace_back("context-length", Value::u32(info.context_length));
  fields.emplace_back("vocab-size", Value::u32(info.vocab_size));
  fields.emplace_back("bos-token",
                      info.bos_token ? Value::some(Value::u32(*info.bos_token)) : Value::none());
  fields.emplace_back("adds-bos", Value::boolean(info.adds_bos));
  call.ret(Value::record(std::move(fields)));
}

}  // namespace

void define_model_info(wasm::Registry& registry) {
  registry.function("pie:model/info", "get", get);
}

}  // namespace pie::host
