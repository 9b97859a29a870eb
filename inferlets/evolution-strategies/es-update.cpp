// Makes the next generation of an adapter that es-init or es-update exported, from the losses that
// es-rollout returned, and exports it in place of the last one. Nobody imports it meanwhile.
//
//   --name        of the export (default "es")
//   --candidates  JSON (required): [{"seed": 7, "loss": 2.5}, ...], less loss is better
//   --max-sigma   bound of the candidates' standard deviation (default 1)
//   --send        sends the adapter to the client, too: a GGUF file that llama.cpp reads
//
// Returns the name.
#include <pie/inferlet.h>

using namespace inferlet;

namespace {

struct Candidate {
  int64_t seed = 0;
  double loss = 0;
  static constexpr auto kFields =
      std::tuple(Field{"seed", &Candidate::seed}, Field{"loss", &Candidate::loss});
};

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string name = "es", text;
  double max_sigma = 1;
  bool is_sent = false;
  ArgumentParser parser;
  parser.option("name", 0, &name)
      .text("candidates", 0, &text)
      .option("max-sigma", 0, &max_sigma)
      .option("send", 0, &is_sent);
  co_await ok(parser.parse(arguments));
  const Json json = co_await ok(Json::parse(text));
  const auto candidates = co_await ok(from_json<std::vector<Candidate>>(json, "candidates"));
  std::vector<float> scores;
  std::vector<int64_t> seeds;
  for (const Candidate& one : candidates) {
    scores.push_back(static_cast<float>(-one.loss));
    seeds.push_back(one.seed);
  }

  const Model model = co_await ok(default_model());
  Adapter adapter = co_await ok(Adapter::import(model, name));
  adapter.update(scores, seeds, static_cast<float>(max_sigma));
  co_await ok(Adapter::release_export(model, name));
  co_await ok(adapter.export_as(name));
  if (is_sent) send_blob(co_await adapter.download(name));
  co_return name;
}
