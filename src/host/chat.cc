#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/objects.h"
#include "model/chat_template.h"

namespace pie::host {
namespace {

using wasm::Call;
using wasm::Value;

/// A conversation that is rendered in the background; ready when it is.
struct Rendering final : wasm::Event {
  std::vector<model::ChatMessage> messages;
  std::string text;  ///< the prompt or the error; written before fire(), read after ready()
  bool is_error = false;

  void render(const model::ChatTemplate& chat_template, bool add_generation_prompt) {
    auto rendered = chat_template.render(messages, add_generation_prompt);
    is_error = !rendered.ok();
    text = is_error ? rendered.error().message : std::move(*rendered);
    fire();
  }
  Value take() {
    Value value = Value::string(std::move(text));
    return is_error ? Value::err(std::move(value)) : Value::ok(std::move(value));
  }
};

/// A template's work grows with the conversation, and nothing can interrupt it.
constexpr uint64_t kInlineBytesMax = 65'536;

/// `render: func(model: borrow<model>, messages: list<record{role: string, content: string}>,
/// add-generation-prompt: bool) -> result<string, string>`.
wasm::Wait render(Call& call) {
  auto model = call.object<ModelObject>(0);
  InstanceState& state = state_of(call);
  auto work = std::make_shared<Rendering>();
  uint64_t bytes = 0;
  for (auto& fields : call.string_records(1)) {
    if (fields.size() != 2) throw wasm::GuestError("[messages] got a record of the wrong shape");
    bytes += fields[0].size() + fields[1].size() + sizeof(model::ChatMessage);
    work->messages.push_back({std::move(fields[0]), std::move(fields[1])});
  }
  check_size("messages", bytes, state.limits.text_bytes_max);
  const bool add_generation_prompt = call.boolean(2);
  const model::ChatTemplate& chat_template = model->service.model().chat_template();
  if (bytes <= kInlineBytesMax)
    work->render(chat_template, add_generation_prompt);
  else
    state.services.background.run([work, &chat_template, add_generation_prompt] {
      work->render(chat_template, add_generation_prompt);
    });
  return {{work}, [work](const std::vector<uint32_t>&) { return work->take(); }};
}

}  // namespace

void define_chat(wasm::Registry& registry) {
  registry.async_function("pie:chat/template", "render", render);
}

}  // namespace pie::host
