// What the model says of an answer: the log-probability of its tokens together, computed in one
// pass over a prompt and them. The arguments are the user turn and the tokens.
#include <pie/inferlet.h>

#include <cstdlib>
#include <numeric>

using inferlet::fail;

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) return fail("[arguments] expected a prompt and tokens");
  auto context = inferlet::Context::create();
  if (!context) return fail(context.error());
  context->fill_user(arguments.front());
  if (auto opened = context->open_answer(); !opened) return fail(opened.error());
  std::vector<uint32_t> tokens = context->tokens();
  const size_t begin = tokens.size();
  for (size_t i = 1; i < arguments.size(); ++i)
    tokens.push_back(static_cast<uint32_t>(std::strtoul(arguments[i].c_str(), nullptr, 10)));

  const inferlet::Model& model = context->model();
  const uint32_t page_size = model.kv_page_size();
  const auto count = static_cast<uint32_t>(tokens.size());
  std::vector<uint32_t> pages, positions(count);
  const auto pool = std::make_shared<inferlet::KvPages>(model.create_queue(), page_size);
  const auto taken = pool->take((count + page_size - 1) / page_size);
  for (const auto& page : taken) pages.push_back(page->number());
  std::iota(positions.begin(), positions.end(), 0U);
  inferlet::ForwardPass pass(pool->queue());
  pass.kv_cache(pages, (count - 1) % page_size + 1);
  pass.input_tokens(tokens, positions);
  for (size_t i = begin; i < count; ++i) {
    auto asked = inferlet::logits::output_log_probabilities(pass, static_cast<uint32_t>(i) - 1,
                                                            std::span(tokens).subspan(i, 1));
    if (!asked) return fail(asked.error());
  }
  const auto result = inferlet::logits::execute(pass);
  if (!result) return fail(result.error());
  (*result)->wait();
  double sum = 0.0;
  for (const auto& one : *inferlet::logits::log_probabilities(**result))
    sum += static_cast<double>(one.values.front());
  return std::to_string(sum);
}
