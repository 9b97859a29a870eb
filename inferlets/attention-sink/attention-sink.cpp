// A text without an end in a memory that does not grow: every token attends to the first few
// tokens, which models lean on, and to the last ones; the pages between go back to the server.
//
//   --prompt, -p        raw text to go on with (required)
//   --sink, -s          first tokens that stay (default 4)
//   --window, -w        last tokens that are attended to (default 128)
//   --max-tokens, -n    tokens at most (default 512)
//   --temperature, -t   0: always the most probable token (default 0.8)
//   --seed              the same text again (default 1)
//
// Streams the text on stdout. Returns JSON: `tokens` of the whole text, the `pages` that it holds
// in the end, and how many `pages_without` the window it would hold.
#include <pie/inferlet.h>

using namespace inferlet;

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt;
  int64_t sink = 4, window = 128, max_tokens = 512, seed = 1;
  double temperature = 0.8;
  ArgumentParser parser;
  parser.text("prompt", 'p', &prompt)
      .number("sink", 's', &sink, 0)
      .number("window", 'w', &window, 1)
      .number("max-tokens", 'n', &max_tokens, 1)
      .option("temperature", 't', &temperature)
      .option("seed", 0, &seed);
  co_await ok(parser.parse(arguments));

  Context context = co_await ok(Context::create());
  co_await ok(context.fill(prompt));
  context.attend_to_window(static_cast<size_t>(sink), static_cast<size_t>(window));
  const auto sampler =
      Sampler::top_p(static_cast<float>(temperature), 0.95F).with_seed(static_cast<uint64_t>(seed));
  co_await ok(context.generate(sampler, Stop::max_len(static_cast<size_t>(max_tokens)), print));
  const auto page_size = static_cast<int64_t>(context.model().kv_page_size());
  const auto tokens = static_cast<int64_t>(context.position());
  co_return Json(Json::Object{{"tokens", tokens},
                              {"pages", static_cast<int64_t>(context.kv_page_count())},
                              {"pages_without", (tokens + page_size - 1) / page_size}})
      .text();
}
