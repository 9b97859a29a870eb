#include <optional>

#include "host/define.h"
#include "host/objects.h"
#include "model/model.h"
#include "wasm/wit_described.h"

namespace pie::host {
namespace {

struct ModelFacts {
  uint32_t context_length = 0, vocab_size = 0;
  std::optional<uint32_t> bos_token;
  bool adds_bos = false;
};
constexpr auto wit_type(const ModelFacts*) {
  return wasm::record(wasm::field("context-length", &ModelFacts::context_length),
                      wasm::field("vocab-size", &ModelFacts::vocab_size),
                      wasm::field("bos-token", &ModelFacts::bos_token),
                      wasm::field("adds-bos", &ModelFacts::adds_bos));
}

ModelFacts get(ModelObject& model) {
  const model::ModelInfo& info = model.service.info();
  return {info.context_length, info.vocab_size, info.bos_token, info.adds_bos};
}

}  // namespace

void define_model_info(wasm::HostFunctions& functions) {
  functions.add("pie:model/info", "get", get);
}

}  // namespace pie::host
