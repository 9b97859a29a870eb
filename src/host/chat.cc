#include <stop_token>

#include "base/guarded.h"
#include "base/work_queue.h"
#include "host/define.h"
#include "host/guest_errors.h"
#include "host/instance_state.h"
#include "host/objects.h"
#include "model/chat_template.h"
#include "wasm/wit_described.h"
#include "wasm/wit_result.h"

namespace pie::host {
namespace {

/// A conversation that is rendered in the background; ready when it is.
struct Rendering final : wasm::Readiness {
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
    if (is_error)
      text = rendered.error().message;
    else
      text = std::move(rendered).value();
    fire();
  }
  wasm::WitResult<std::string, std::string> take() {
    if (is_error) return wasm::Err(std::move(text));
    return wasm::Ok(std::move(text));
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

struct ChatTurn {
  std::string role, content;
};
constexpr auto wit_type(const ChatTurn*) {
  return wasm::record(wasm::field("role", &ChatTurn::role),
                      wasm::field("content", &ChatTurn::content));
}

/// A template may take seconds.
wasm::Wait<wasm::WitResult<std::string, std::string>> render(InstanceState& state,
                                                             ModelObject& model,
                                                             std::vector<ChatTurn> messages,
                                                             bool add_generation_prompt) {
  std::vector<model::ChatMessage> conversation;
  uint64_t bytes = 0;
  for (ChatTurn& one : messages) {
    bytes += one.role.size() + one.content.size() + sizeof(model::ChatMessage);
    conversation.push_back({std::move(one.role), std::move(one.content)});
  }
  check_size("messages", bytes, state.limits.text_bytes_max);
  Charge charge(state.memory);
  charge.add(bytes);
  auto work = std::make_shared<Rendering>(std::move(charge));
  work->messages = std::move(conversation);
  auto interest = std::make_shared<Interest>();
  const model::ChatTemplate& chat_template = model.service.model().chat_template();
  value_or_throw(state.services.background.post_once(
      state.user, [work, &chat_template, add_generation_prompt, stop = interest->source.get_token(),
                   cpu = state.cpu_quota] {
        if (!stop.stop_requested())
          work->render(chat_template, add_generation_prompt, stop, cpu.get());
      }));
  return {{work}, [work, interest] { return work->take(); }};
}

}  // namespace

void define_chat(wasm::HostFunctions& functions) {
  functions.add("pie:chat/template", "render", render);
}

}  // namespace pie::host
