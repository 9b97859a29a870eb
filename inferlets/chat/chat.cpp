// A conversation: every message of the client is a user's turn, and is answered. What was said
// before stays computed, so that a turn costs its own tokens. When the context is full, the oldest
// turns are forgotten; the system turn is not.
//
//   --system, -s        the system turn
//   --model, -m         by its name (default: the first one)
//   --max-tokens, -n    tokens of one answer at most (default 128)
//   --temperature, -t   0: always the most probable token (default 0)
//   --context, -c       tokens of the conversation at most (default: what the model was trained
//   for)
//   --keep, -k          the user's name for it: a later conversation of that name goes on behind it
//
// Streams answers on stdout and what the model thinks before them on stderr, and sends each answer
// as a message when it is whole. The message `quit` ends it. Returns the number of turns.
#include <pie/inferlet.h>

#include <algorithm>

using namespace inferlet;

namespace {

struct Turn {
  std::string role, content;
  static constexpr auto kFields =
      std::tuple(Field{"role", &Turn::role}, Field{"content", &Turn::content});
};

std::string key_of(const std::string& name) { return "chat/" + name; }

/// The turns of an earlier conversation, but for the system's.
Result<std::vector<Message>> kept(const std::string& name) {
  std::vector<Message> messages;
  if (name.empty()) return messages;
  const auto turns = kvs::get_as<std::vector<Turn>>(key_of(name));
  if (!turns) return fail(turns.error());
  for (const Turn& one : turns->value_or(std::vector<Turn>()))
    messages.push_back({one.role, one.content, {}, {}, {}, {}});
  return messages;
}

void keep(const std::string& name, const std::vector<Message>& messages) {
  if (name.empty()) return;
  std::vector<Turn> turns;
  for (const Message& one : messages)
    if (one.role != "system") turns.push_back({one.role, one.content});
  kvs::set_as(key_of(name), turns);
}

/// Forgets the oldest questions and their answers, until it fits.
Result<void> make_room(const Context& context, Conversation& talk, int64_t tokens_max) {
  for (;;) {
    const auto rendered = render(context.model(), talk);
    if (!rendered) return fail(rendered.error());
    const auto size = static_cast<int64_t>(context.tokenizer().tokenize(rendered->text()).size());
    if (size <= tokens_max) return {};
    if (talk.messages.size() < 4)
      return fail("[message] got " + std::to_string(size) + " tokens with the system turn, " +
                  "expected at most " + std::to_string(tokens_max));
    talk.messages.erase(talk.messages.begin() + 1, talk.messages.begin() + 3);
  }
}

void show(const AnswerDelta& delta) {
  if (const auto* text = std::get_if<TextDelta>(&delta)) print(text->text);
  if (const auto* thought = std::get_if<ReasoningDelta>(&delta)) print_error(thought->text);
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string system = "You are a helpful assistant.", model, name;
  int64_t max_tokens = 128, context_max = 0;
  double temperature = 0.0;
  ArgumentParser parser;
  parser.option("system", 's', &system)
      .option("model", 'm', &model)
      .number("max-tokens", 'n', &max_tokens, 1)
      .option("temperature", 't', &temperature)
      .number("context", 'c', &context_max, 0)
      .option("keep", 'k', &name);
  co_await ok(parser.parse(arguments));

  Context context = co_await ok(model.empty() ? Context::create() : Context::create(model));
  const auto trained = static_cast<int64_t>(context.model().info().context_length);
  const int64_t room = (context_max == 0 ? trained : std::min(context_max, trained)) - max_tokens;
  const auto sampler = Sampler::top_p(static_cast<float>(temperature), 0.95F);
  Conversation talk;
  talk.messages = co_await ok(kept(name));
  talk.messages.insert(talk.messages.begin(), Message::system(system));
  int64_t turns = 0;
  for (std::string said = co_await receive(); said != "quit"; said = co_await receive()) {
    talk.messages.push_back(Message::user(said));
    co_await ok(make_room(context, talk, room));
    const Answer said_back = co_await ok(
        answer(context, talk, sampler, Stop::max_len(static_cast<size_t>(max_tokens)), show));
    talk.messages.push_back(said_back.message());
    keep(name, talk.messages);
    print("\n");
    send(said_back.content);
    ++turns;
  }
  co_return std::to_string(turns);
}
