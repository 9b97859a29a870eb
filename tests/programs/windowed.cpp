// What a model says under a sliding window, computed in one pass. Arguments: the window, how many
// tokens are the prompt, and the tokens. Prompt tokens attend to all before them; later ones to the
// last `window`, themselves included. Returns the most probable tokens behind the prompt's last and
// behind each later one but the last, as JSON.
#include <pie/inferlet.h>

#include <cstdlib>
#include <numeric>

using inferlet::fail;

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  if (arguments.size() < 3) return fail("[arguments] expected WINDOW PROMPT TOKENS...");
  std::vector<uint32_t> numbers;
  for (const std::string& one : arguments)
    numbers.push_back(static_cast<uint32_t>(std::strtoul(one.c_str(), nullptr, 10)));
  const uint32_t window = numbers[0], prompt = numbers[1];
  const std::vector<uint32_t> tokens(numbers.begin() + 2, numbers.end());

  const auto model = inferlet::default_model();
  if (!model) return fail(model.error());
  const uint32_t page_size = model->kv_page_size();
  const auto count = static_cast<uint32_t>(tokens.size());
  const auto pool = std::make_shared<inferlet::KvPages>(model->create_queue(), page_size);
  const auto taken = pool->take((count + page_size - 1) / page_size);
  std::vector<uint32_t> pages, positions(count), asked(count - prompt);
  for (const auto& page : taken) pages.push_back(page->number());
  std::iota(positions.begin(), positions.end(), 0U);
  std::iota(asked.begin(), asked.end(), prompt - 1);
  std::vector<std::vector<uint32_t>> mask;
  for (uint32_t row = 0; row < count; ++row) {
    const uint32_t hidden = row < prompt || row + 1 < window ? 0 : row + 1 - window;
    mask.push_back(hidden == 0 ? std::vector<uint32_t>{row + 1}
                               : std::vector<uint32_t>{0, hidden, row + 1 - hidden});
  }
  inferlet::ForwardPass pass(pool->queue());
  pass.kv_cache(pages, (count - 1) % page_size + 1);
  pass.input_tokens(tokens, positions);
  pass.attention_mask(mask);
  if (auto done = inferlet::logits::output_tokens(pass, asked, {}); !done)
    return fail(done.error());
  const auto result = inferlet::logits::execute(pass);
  if (!result) return fail(result.error());
  (*result)->wait();
  return inferlet::to_json(*(*result)->tokens()).text();
}
