// Hostile: uses KV pages that it never allocated, and frees others.
#include <pie/inferlet.h>

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  auto model = inferlet::default_model();
  if (!model) return inferlet::fail(model.error());
  inferlet::Queue queue = model->create_queue();
  uint32_t guess = 0;
  if (!arguments.empty()) guess = static_cast<uint32_t>(std::stoul(arguments.front()));
  inferlet::ForwardPass pass(queue);
  const uint32_t token = 1;
  const uint32_t position = 0;
  pass.kv_cache(std::span(&guess, 1), 1);
  pass.input_tokens(std::span(&token, 1), std::span(&position, 1));
  inferlet::Sampler::greedy().request(pass, 0);
  if (auto result = pass.execute()) result->wait();
  return "read a page that is not mine";
}
