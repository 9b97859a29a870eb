// Answers a prompt, streaming the answer on stdout, and returns it. Messages that the client sends
// meanwhile are further user turns of the same conversation, answered one after the other.
//
//   --prompt, -p        the first user turn (required)
//   --system, -s        the system turn
//   --max-tokens, -n    tokens of one answer at most
//   --temperature, -t   0: always the most probable token
//   --top-p             sample from the most probable tokens that together reach this probability
#include <pie/inferlet.h>

namespace {

std::string too_long(const inferlet::Context& context) {
  return "[prompt] got a conversation of " + std::to_string(context.size()) +
         " tokens, expected fewer than the " +
         std::to_string(context.model().info().context_length) + " of the model's context";
}

}  // namespace

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  std::string prompt;
  std::string system = "You are a helpful assistant.";
  int64_t max_tokens = 256;
  double temperature = 0.6;
  double top_p = 0.95;
  inferlet::ArgumentParser parser;
  parser.option("prompt", 'p', &prompt)
      .option("system", 's', &system)
      .option("max-tokens", 'n', &max_tokens)
      .option("temperature", 't', &temperature)
      .option("top-p", 0, &top_p);
  if (auto parsed = parser.parse(arguments); !parsed) return inferlet::fail(parsed.error());
  if (prompt.empty()) return inferlet::fail("[--prompt] got nothing, expected the prompt's text");
  if (max_tokens < 0) {
    return inferlet::fail("[--max-tokens] got " + std::to_string(max_tokens) +
                          ", expected 0 or more");
  }

  inferlet::Result<inferlet::Context> context = inferlet::Context::create();
  if (!context) return inferlet::fail(context.error());
  const auto sampler =
      inferlet::Sampler::top_p(static_cast<float>(temperature), static_cast<float>(top_p));
  const auto stop = inferlet::Stop::max_len(static_cast<size_t>(max_tokens)) |
                    inferlet::Stop::end_of_turn(context->model());
  context->fill_system(system);
  std::string whole;
  for (std::optional<std::string> turn = prompt; turn; turn = inferlet::try_receive()) {
    if (!whole.empty()) {
      inferlet::print("\n");
      whole += '\n';
    }
    context->fill_user(*turn);
    if (auto opened = context->open_answer(); !opened) return inferlet::fail(opened.error());
    const size_t room = context->room();
    if (room == 0) return inferlet::fail(too_long(*context));
    auto answer = context->generate(sampler, stop | inferlet::Stop::max_len(room), inferlet::print);
    if (!answer) return inferlet::fail(answer.error());
    whole += *answer;
    if (context->room() == 0 && room < static_cast<size_t>(max_tokens))
      inferlet::print_error("[context] the answer ends here: " + too_long(*context) + "\n");
  }
  return whole;
}
