// Attention with a window of one's own, token by token: each token attends to the last ones alone.
// The mask is the program's, and may be any: here it moves with the text.
//
//   --prompt, -p        raw text to go on with (required)
//   --window, -w        tokens that each one attends to, itself included (default 64)
//   --max-tokens, -n    tokens at most (default 32)
//
// The prompt's tokens attend to everything before them, those that are generated to the window.
// Returns JSON: the `text`, the `prompt` and the `answer` as tokens, and the `pages` that are left.
// Context::attend_to_window does the same in the engine's own loop, for the prompt as well.
#include <pie/inferlet.h>

using namespace inferlet;

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt;
  int64_t window = 64, max_tokens = 32;
  ArgumentParser parser;
  parser.text("prompt", 'p', &prompt)
      .number("window", 'w', &window, 1)
      .number("max-tokens", 'n', &max_tokens, 1);
  co_await ok(parser.parse(arguments));

  Context context = co_await ok(Context::create());
  co_await ok(context.fill(prompt));
  const std::vector<uint32_t> read = context.tokens();
  std::vector<uint32_t> answer;
  for (int64_t i = 0; i < max_tokens; ++i) {
    answer.push_back(co_await ok(context.decode_step(Sampler::greedy())));
    // The next step computes this token: what is too far from it goes. `size` counts it already.
    const size_t size = context.size();
    if (std::cmp_greater(size, window))
      context.mask_token_range(0, size - static_cast<size_t>(window));
    context.drop_masked_pages();  // full pages that nobody attends to any more
  }
  co_return Json(Json::Object{{"text", context.tokenizer().detokenize(answer)},
                              {"prompt", to_json(read)},
                              {"answer", to_json(answer)},
                              {"pages", static_cast<int64_t>(context.kv_page_count())}})
      .text();
}
