// Begins to train an adapter by an evolution strategy: makes one that adds nothing yet, and exports
// it. es-rollout tries candidates of it, es-update makes the next one of their losses.
//
//   --name           of the export (default "es")
//   --rank, --alpha  of the adapter (4, 8)
//   --population     candidates of one update at most (16)
//   --mu-fraction    of them, the best: what the next mean is made from (0.5)
//   --sigma          standard deviation of the candidates (0.02)
//   --file           instead, a GGUF adapter that the client sends: one of es-update's goes on
//                    where it was
//
// Returns the name.
#include <pie/inferlet.h>

using namespace inferlet;

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  std::string name = "es";
  int64_t rank = 4, population = 16;
  double alpha = 8, mu_fraction = 0.5, sigma = 0.02;
  bool is_file = false;
  ArgumentParser parser;
  parser.option("name", 0, &name)
      .number("rank", 0, &rank, 1, 512)
      .option("alpha", 0, &alpha)
      .number("population", 0, &population, 1, 4096)
      .option("mu-fraction", 0, &mu_fraction)
      .option("sigma", 0, &sigma)
      .option("file", 0, &is_file);
  co_await ok(parser.parse(arguments));
  const Model model = co_await ok(default_model());
  Adapter adapter(model);
  if (is_file) {
    adapter.upload(co_await receive_blob(), name);
  } else {
    adapter.initialize({.rank = static_cast<uint32_t>(rank),
                        .alpha = static_cast<float>(alpha),
                        .population_size = static_cast<uint32_t>(population),
                        .mu_fraction = static_cast<float>(mu_fraction),
                        .initial_sigma = static_cast<float>(sigma)});
  }
  co_await ok(adapter.export_as(name));
  co_return name;
}
