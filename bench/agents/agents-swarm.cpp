// One role of a pipeline: takes what the role before it wrote, by a topic, and hands on what it
// writes. The workload `swarm` runs one of these for each role of a unit.
//
//   --shared, --shared-text, --prompt, --text   the roles' texts, and the first one's task (unit.h)
//   --role, --roles                             which one this is, from 0, and how many there are
//   --tokens                                    to write
#include "unit.h"

using namespace bench;

namespace {

inferlet::Json written_out(const Tokens& tokens) {
  inferlet::Json::Array numbers;
  for (const uint32_t token : tokens) numbers.emplace_back(int64_t{token});
  return numbers;
}

Result<Tokens> read_back(std::string_view message) {
  const auto numbers = inferlet::Json::parse(message);
  if (!numbers || numbers->array() == nullptr) return fail("[swarm] got a message without tokens");
  Tokens tokens;
  for (const inferlet::Json& number : *numbers->array()) {
    if (number.integer() == nullptr) return fail("[swarm] got a message without tokens");
    tokens.push_back(static_cast<uint32_t>(*number.integer()));
  }
  return tokens;
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Beginning beginning;
  int64_t role = 0, roles = 1, tokens = 64;
  inferlet::ArgumentParser parser;
  beginning.add_options(parser);
  parser.option("role", 0, &role).option("roles", 0, &roles).option("tokens", 0, &tokens);
  if (auto parsed = parser.parse(arguments); !parsed) co_return fail(parsed.error());
  const auto topic = [&](int64_t of) {
    return "swarm-" + std::to_string(beginning.text) + "-" + std::to_string(of);
  };

  auto context = Context::create();
  if (!context) co_return fail(context.error());
  context->fill_tokens(text(static_cast<uint64_t>(beginning.shared_text + role),
                            static_cast<size_t>(beginning.shared)));
  Tokens task = beginning.text_of(0, beginning.prompt);
  if (role > 0) {
    const inferlet::Subscription before(topic(role));
    context->flush();  // the role's own text is computed while it waits
    inferlet::send("ready");
    auto received = read_back(co_await before.next());
    if (!received) co_return fail(received.error());
    task = std::move(*received);
  }
  context->fill_tokens(task);
  Output output;
  const auto written = co_await write(*context, tokens, drawn(beginning.number(role)), output);
  if (!written) co_return fail(written.error());
  if (role + 1 < roles) inferlet::broadcast(topic(role + 1), written_out(*written).text());
  co_return output.json();
}
