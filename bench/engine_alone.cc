// The engine without programs: what a token costs when whoever waits for it answers at once.
// Prints {"sequences": N, "seconds_per_step": S} as one line of JSON.
#include <CLI/CLI.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <mutex>
#include <numeric>
#include <random>

#include "engine/engine.h"
#include "server/models.h"

namespace {

using namespace pie;

/// Results in the order in which they came.
class Arrivals {
 public:
  void push(size_t sequence, Result<engine::ForwardOutput> output) {
    const std::lock_guard lock(mutex_);
    arrived_.emplace_back(sequence, std::move(output));
    changed_.notify_one();
  }
  std::pair<size_t, Result<engine::ForwardOutput>> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !arrived_.empty(); });
    auto first = std::move(arrived_.front());
    arrived_.pop_front();
    return first;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<size_t, Result<engine::ForwardOutput>>> arrived_;
};

struct Sequence {
  QueueId queue;
  std::vector<uint32_t> pages;
  uint32_t size = 0;
};

struct Options {
  server::Config config;
  uint32_t sequences = 1, prefix = 64, tokens = 64, warmup = 8;
};

/// Exits with the message of an error: this is a tool.
template <class T>
T need(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "engine_alone: %s\n", result.error().message.c_str());
    std::exit(1);
  }
  return std::move(*result);
}

void submit(engine::Engine& engine, Sequence& sequence, size_t index,
            const std::vector<uint32_t>& tokens, Arrivals& arrivals) {
  engine::ForwardPass pass;
  for (const uint32_t token : tokens) {
    pass.inputs.push_back({.token = token, .position = sequence.size++});
  }
  const uint32_t page_size = engine.page_size();
  const uint32_t page_count = (sequence.size + page_size - 1) / page_size;
  for (uint32_t i = 0; i < page_count; ++i) pass.pages.push_back(VirtualPage{sequence.pages[i]});
  pass.last_page_len = sequence.size - (page_count - 1) * page_size;
  pass.tokens.push_back({.index = static_cast<uint32_t>(tokens.size() - 1), .sampler = {}});
  pass.tokens.back().sampler.temperature = 0.0F;
  const auto done = engine.submit(sequence.queue, std::move(pass),
                                  [&arrivals, index](Result<engine::ForwardOutput> output) {
                                    arrivals.push(index, std::move(output));
                                  });
  if (!done.ok()) {
    std::fprintf(stderr, "engine_alone: %s\n", done.error().message.c_str());
    std::exit(1);
  }
}

double seconds_per_step(engine::Engine& engine, const Options& options) {
  Arrivals arrivals;
  std::mt19937_64 random(std::random_device{}());
  std::uniform_int_distribution<uint32_t> choose(1000, 40'000);
  std::vector<Sequence> sequences(options.sequences);
  const uint32_t size = options.prefix + options.tokens + options.warmup + 1;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const InstanceId instance{i + 1};
    engine.open_instance(instance, {});
    sequences[i].queue = engine.create_queue(instance);
    sequences[i].pages =
        need(engine.allocate(sequences[i].queue, 0, size / engine.page_size() + 1));
    std::vector<uint32_t> prompt(options.prefix);
    for (uint32_t& token : prompt) token = choose(random);
    submit(engine, sequences[i], i, prompt, arrivals);
    need(arrivals.pop().second);
  }
  std::chrono::steady_clock::time_point started;
  const size_t warmup = size_t{options.warmup} * sequences.size();
  const size_t total = warmup + size_t{options.tokens} * sequences.size();
  std::vector<uint32_t> left(sequences.size(), options.warmup + options.tokens);
  for (size_t i = 0; i < sequences.size(); ++i) {
    submit(engine, sequences[i], i, {choose(random)}, arrivals);
  }
  for (size_t count = 0; count < total; ++count) {
    if (count == warmup) started = std::chrono::steady_clock::now();
    auto [index, output] = arrivals.pop();
    const uint32_t token = need(std::move(output)).tokens.at(0);
    if (--left[index] > 0) submit(engine, sequences[index], index, {token}, arrivals);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  return took.count() / options.tokens;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What a decode step costs without programs");
  Options options;
  options.config.share = server::default_share();
  app.add_option("--model", options.config.model, "GGUF file, or the name of an installed model");
  app.add_option("--share", options.config.share, "Folder of the installed models");
  app.add_option("--threads", options.config.model_threads, "Threads of a step [all cores]");
  app.add_option("--sequences", options.sequences, "Sequences that decode at once");
  app.add_option("--prefix", options.prefix, "Tokens of each before it decodes");
  app.add_option("--tokens", options.tokens, "Steps that are measured");
  app.footer("Example:\n  engine_alone --share build/share/pie --sequences 64\n");
  CLI11_PARSE(app, argc, argv);
  const server::ServedModels models = need(server::open_models(options.config));
  const double seconds = seconds_per_step(*models.engines.front(), options);
  std::printf("{\"sequences\": %u, \"seconds_per_step\": %.9f}\n", options.sequences, seconds);
  return 0;
}
