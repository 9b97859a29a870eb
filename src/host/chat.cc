#include <stop_token>

#include "base/guarded.h"
#include "base/work_queue.h"
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
  explicit Rendering(Charge charge_) : charge(std::move(charge_)) {}

  /// Adds the processor time that it took to `cpu`, which may be null.
  void render(const model::ChatTemplate& chat_template, bool add_generation_prompt,
              const std::stop_token& stop, Quota* cpu) {
    uint64_t cpu_ns = 0;
    auto rendered = guarded("chat template", [&] {
      const auto end =
          add_generation_prompt ? model::PromptEnd::kAnswer : model::PromptEnd::kNothing;
      return chat_template.render(messages, end, stop, &cpu_ns);
    });
    if (cpu != nullptr) cpu->add(cpu_ns);
    is_error = !rendered.ok();
    text = is_error ? rendered.error().message : std::move(*rendered);
    fire();
  }
  Value take() {
    Value value = Value::string(std::move(text));
    return is_error ? Value::err(std::move(value)) : Value::ok(std::move(value));
  }

  std::vector<model::ChatMessage> messages;
  std::string text;  ///< the prompt or the error; written before fire(), read after ready()
  bool is_error = false;
  const Charge charge;
};

/// Held by who waits for something; the work for it stops when nobody does.
struct Interest {
  ~Interest() { source.request_stop(); }
  std::stop_source source;
};

/// `render: func(model: borrow<model>, messages: list<record{role: string, content: string}>,
/// add-generation-prompt: bool) -> result<string, string>`. A template may take seconds.
wasm::Wait render(Call& call) {
  auto model = call.object<ModelObject>(0);
  InstanceState& state = state_of(call);
  std::vector<model::ChatMessage> messages;
  uint64_t bytes = 0;
  for (auto& fields : call.string_records(1)) {
    if (fields.size() != 2) throw wasm::GuestError("[messages] got a record of the wrong shape");
    bytes += fields[0].size() + fields[1].size() + sizeof(model::ChatMessage);
    messages.push_back({std::move(fields[0]), std::move(fields[1])});
  }
  check_size("messages", bytes, state.limits.text_bytes_max);
  Charge charge(state.memory);
  charge.add(bytes);
  auto work = std::make_shared<Rendering>(std::move(charge));
  work->messages = std::move(messages);
  auto interest = std::make_shared<Interest>();
  const model::ChatTemplate& chat_template = model->service.model().chat_template();
  value_or_throw(state.services.background.post_once(
      state.user, [work, &chat_template, add_generation_prompt = call.boolean(2),
                   stop = interest->source.get_token(), cpu = state.cpu_quota] {
        if (!stop.stop_requested())
          work->render(chat_template, add_generation_prompt, stop, cpu.get());
      }));
  return {{work}, [work, interest](const std::vector<uint32_t>&) { return work->take(); }};
}

}  // namespace

void define_chat(wasm::Registry& registry) {
  registry.async_function("pie:chat/template", "render", render);
}

}  // namespace pie::host
