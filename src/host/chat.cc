#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/objects.h"
#include "model/chat_template.h"

namespace pie::host {
namespace {

using wasm::Call;
using wasm::Value;

/// `render: func(model: borrow<model>, messages: list<record{role: string, content: string}>,
/// add-generation-prompt: bool) -> result<string, string>`.
void render(Call& call) {
  auto model = call.object<ModelObject>(0);
  std::vector<model::ChatMessage> messages;
  uint64_t bytes = 0;
  for (auto& fields : call.string_records(1)) {
    if (fields.size() != 2) throw wasm::GuestError("[messages] got a record of the wrong shape");
    bytes += fields[0].size() + fields[1].size();
    messages.push_back({std::move(fields[0]), std::move(fields[1])});
  }
  check_size("messages", bytes, state_of(call).limits.text_bytes_max);
  auto text = model->service.model().chat_template().render(messages, call.boolean(2));
  call.ret(text.ok() ? Value::ok(Value::string(std::move(*text)))
                     : Value::err(Value::string(text.error().message)));
}

}  // namespace

void define_chat(wasm::Registry& registry) {
  registry.function("pie:chat/template", "render", render);
}

}  // namespace pie::host
