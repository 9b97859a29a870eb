// Beam search: keeps the most probable beginnings of an answer at every length, instead of one. All
// beams are forks of one prompt, share their pages, and take each step in one batch.
//
//   --prompt, -p       the user turn (required)
//   --width, -w        how many beginnings are kept (default 4); 1 is greedy decoding
//   --max-tokens, -n   tokens of the answer at most (default 32)
//
// Returns JSON: the text, its tokens, and the log-probability of all of them together.
#include <pie/inferlet.h>

namespace {

using inferlet::fail;
using inferlet::Json;
using inferlet::Result;
using inferlet::Task;

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string prompt;
  int64_t width = 4;
  int64_t max_tokens = 32;
  inferlet::ArgumentParser parser;
  parser.option("prompt", 'p', &prompt).option("width", 'w', &width);
  parser.option("max-tokens", 'n', &max_tokens);
  if (auto parsed = parser.parse(arguments); !parsed) co_return fail(parsed.error());
  if (prompt.empty()) co_return fail("[--prompt] got nothing, expected the prompt's text");
  if (width < 1 || width > 64)
    co_return fail("[--width] got " + std::to_string(width) + ", expected 1 to 64");
  if (max_tokens < 1)
    co_return fail("[--max-tokens] got " + std::to_string(max_tokens) + ", expected 1 or more");

  auto context = inferlet::Context::create();
  if (!context) co_return fail(context.error());
  context->fill_user(prompt);
  if (auto opened = context->open_answer(); !opened) co_return fail(opened.error());
  co_await context->flush();  // what a fork shares is what is computed
  const auto stop = inferlet::Stop::max_len(static_cast<size_t>(max_tokens)) |
                    inferlet::Stop::end_of_turn(context->model());
  auto best = co_await inferlet::beam_search(*context, static_cast<size_t>(width), stop);
  if (!best) co_return fail(best.error());

  inferlet::print(best->text + "\n");
  Json::Array tokens;
  for (const uint32_t token : best->tokens) tokens.emplace_back(int64_t{token});
  co_return Json(Json::Object{{"text", Json(best->text)},
                              {"tokens", Json(std::move(tokens))},
                              {"log_probability", Json(best->log_probability)}})
      .text();
}
