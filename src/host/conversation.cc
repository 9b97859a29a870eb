#include "model/conversation.h"

#include <functional>
#include <optional>
#include <stop_token>
#include <utility>
#include <variant>

#include "base/guarded.h"
#include "base/work_queue.h"
#include "host/answer.h"
#include "host/conversation_types.h"
#include "host/define.h"
#include "host/instance_state.h"
#include "host/objects.h"
#include "model/answer_parser.h"
#include "model/chat_template.h"
#include "wasm/wit_result.h"

namespace pie::host {
namespace {

constexpr const char* kConversation = "pie:chat/conversation";

/// What the host holds of an answer, for each byte of it: the text, and what was told of it.
constexpr uint64_t kAnswerBytesFactor = 2;

struct RenderedObject final : wasm::Object {
  static constexpr std::string_view kResource = "pie:chat/conversation/rendered";
  RenderedObject(model::RenderedConversation made_, Charge charge_)
      : made(std::move(made_)), charge(std::move(charge_)) {}
  const model::RenderedConversation made;
  const Charge charge;
};

/// `parser`: used by the instance's fiber, or by the work that it waits for.
struct ParserObject final : wasm::Object {
  static constexpr std::string_view kResource = "pie:chat/conversation/parser";
  ParserObject(std::shared_ptr<const model::AnswerFormat> format, Charge charge_)
      : parser(std::move(format)), charge(std::move(charge_)) {}
  model::AnswerParser parser;
  Charge charge;
  bool is_finished = false;
};

/// Held by who waits for something; the work for it stops when nobody does.
struct Waiter {
  ~Waiter() { source.request_stop(); }
  std::stop_source source;
};

/// What is done for a program in the background, at the charge of its user.
template <class T>
using Work = std::function<Result<T>(std::stop_token stop, uint64_t* cpu_ns)>;

template <class T, class Given>
wasm::Wait<wasm::WitResult<Given, std::string>> wait_for(
    InstanceState& state, Work<T> work, std::function<Result<Given>(Result<T>)> given) {
  auto answer = std::make_shared<Answer<T>>();
  auto waiter = std::make_shared<Waiter>();
  const auto posted = state.services.background.post_once(
      state.user,
      [work = std::move(work), answer, stop = waiter->source.get_token(), cpu = state.cpu_quota] {
        uint64_t cpu_ns = 0;
        answer->set(guarded("conversation", [&] { return work(stop, &cpu_ns); }));
        if (cpu != nullptr) cpu->add(cpu_ns);
      });
  if (!posted.ok()) answer->set(posted.error());
  return {{answer},
          [answer, waiter, given = std::move(given)]() -> wasm::WitResult<Given, std::string> {
            return given(answer->take_result());
          }};
}

/// What is there without a wait.
template <class T>
wasm::Wait<wasm::WitResult<T, std::string>> at_once(Result<T> result) {
  auto held = std::make_shared<Result<T>>(std::move(result));
  return {{}, [held]() -> wasm::WitResult<T, std::string> { return std::move(*held); }};
}

uint64_t bytes_of(const model::RenderedConversation& made) {
  uint64_t bytes = sizeof(RenderedObject) + made.prompt.size() + made.format_bytes;
  for (const std::string& stop : made.stops) bytes += stop.size() + kListItemBytes;
  return bytes;
}

using RenderedRef = std::shared_ptr<RenderedObject>;

wasm::Wait<wasm::WitResult<RenderedRef, std::string>> render(InstanceState& state,
                                                             ModelObject& model,
                                                             ConversationRecord conversation) {
  const uint64_t bytes = bytes_of(conversation);
  if (bytes > state.limits.text_bytes_max)
    return at_once<RenderedRef>(
        Error{ErrorCode::kInvalidArgument, "[conversation] got " + std::to_string(bytes) +
                                               " bytes, expected at most " +
                                               std::to_string(state.limits.text_bytes_max)});
  Charge charge(state.memory);
  charge.add(bytes);
  const auto asked = std::make_shared<const model::Conversation>(taken(std::move(conversation)));
  const model::ChatTemplate& chat_template = model.service.model().chat_template();
  auto held = std::make_shared<Charge>(std::move(charge));
  return wait_for<model::RenderedConversation, RenderedRef>(
      state,
      [asked, held, &chat_template](std::stop_token stop, uint64_t* cpu_ns) {
        return chat_template.render(*asked, std::move(stop), cpu_ns);
      },
      [memory = state.memory](Result<model::RenderedConversation> made) -> Result<RenderedRef> {
        if (!made.ok()) return made.error();
        Charge kept(memory);
        kept.add(bytes_of(*made));
        return std::make_shared<RenderedObject>(std::move(*made), std::move(kept));
      });
}

std::string prompt(RenderedObject& self) { return self.made.prompt; }
std::vector<std::string> stops(RenderedObject& self) { return self.made.stops; }
std::optional<GrammarRecord> grammar(RenderedObject& self) {
  if (!self.made.grammar) return std::nullopt;
  return record_of(*self.made.grammar);
}

std::shared_ptr<ParserObject> parse(InstanceState& state, RenderedObject& self) {
  Charge charge(state.memory);
  charge.add(sizeof(ParserObject) + self.made.format_bytes);
  return std::make_shared<ParserObject>(self.made.format, std::move(charge));
}

using ParserRef = std::shared_ptr<ParserObject>;

Error is_over() {
  return {ErrorCode::kFailedPrecondition,
          "[parser] got a call after finish, expected a parser of its own for each answer"};
}

wasm::Wait<wasm::WitResult<DeltaList, std::string>> feed(InstanceState& state, ParserRef self,
                                                         std::string_view piece) {
  if (self->is_finished) return at_once<DeltaList>(is_over());
  const uint64_t bytes = self->parser.text_bytes() + piece.size();
  if (bytes > state.limits.text_bytes_max)
    return at_once<DeltaList>(
        Error{ErrorCode::kInvalidArgument, "[answer] got " + std::to_string(bytes) +
                                               " bytes, expected at most " +
                                               std::to_string(state.limits.text_bytes_max)});
  self->charge.add(kAnswerBytesFactor * piece.size());
  if (self->parser.add(piece) == model::AnswerParser::Next::kMore)
    return at_once<DeltaList>(DeltaList());
  return wait_for<std::vector<model::AnswerDelta>, DeltaList>(
      state,
      [self](std::stop_token stop, uint64_t* cpu_ns) {
        return self->parser.advance(std::move(stop), cpu_ns);
      },
      [](Result<std::vector<model::AnswerDelta>> deltas) -> Result<DeltaList> {
        if (!deltas.ok()) return deltas.error();
        return records_of(std::move(*deltas));
      });
}

wasm::Wait<wasm::WitResult<EndingRecord, std::string>> finish(InstanceState& state,
                                                              ParserRef self) {
  if (std::exchange(self->is_finished, true)) return at_once<EndingRecord>(is_over());
  return wait_for<model::AnswerEnd, EndingRecord>(
      state,
      [self](std::stop_token stop, uint64_t* cpu_ns) {
        return self->parser.finish(std::move(stop), cpu_ns);
      },
      [](Result<model::AnswerEnd> end) -> Result<EndingRecord> {
        if (!end.ok()) return end.error();
        return record_of(std::move(*end));
      });
}

}  // namespace

void define_conversation(wasm::HostFunctions& functions) {
  functions.resource(RenderedObject::kResource);
  functions.resource(ParserObject::kResource);
  functions.add(kConversation, "render", render);
  functions.add(kConversation, "[method]rendered.prompt", prompt);
  functions.add(kConversation, "[method]rendered.stops", stops);
  functions.add(kConversation, "[method]rendered.grammar", grammar);
  functions.add(kConversation, "[method]rendered.parse", parse);
  functions.add(kConversation, "[method]parser.feed", feed);
  functions.add(kConversation, "[method]parser.finish", finish);
}

}  // namespace pie::host
