// Measures what a row of logits costs after the step: drawing, ranking, rules, and what is told of
// it, by the size of the vocabulary. Processor time of one thread, the least of many repetitions.
// Two kinds of rows: normal ones, where many tokens are likely, and peaked ones, as models give
// them in the middle of a text.
//
//   sampling [REPETITIONS]
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <limits>
#include <random>
#include <string_view>
#include <vector>

#include "sample/log_softmax.h"
#include "sample/logit_rules.h"
#include "sample/sampler.h"

namespace pie::sample {
namespace {

double thread_cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

/// The least time of a call.
double least_us(long repetitions, const std::function<void(uint64_t)>& call) {
  double least = std::numeric_limits<double>::infinity();
  for (long i = 0; i < repetitions; ++i) {
    const double begin = thread_cpu_us();
    call(static_cast<uint64_t>(i));
    least = std::min(least, thread_cpu_us() - begin);
  }
  return least;
}

struct NamedParams {
  std::string_view name;
  SamplerParams params;
};
constexpr NamedParams kDraws[] = {
    {"greedy", {}},
    {"temperature", {.temperature = 1}},
    {"top-k 40", {.temperature = 1, .top_k = 40}},
    {"top-p 0.95", {.temperature = 1, .top_p = 0.95F}},
    {"min-p 0.05", {.temperature = 1, .min_p = 0.05F}},
    {"typical 0.9", {.temperature = 1, .typical_p = 0.9F}},
    {"xtc", {.temperature = 1, .xtc_probability = 1, .xtc_threshold = 0.01F}},
    {"surprise 5", {.temperature = 1, .surprise_max = 5}},
};

enum class RowKind { kNormal, kPeaked };

std::vector<float> make_row(size_t vocab_size, RowKind kind) {
  std::mt19937_64 random(vocab_size);
  std::normal_distribution<float> normal(0, kind == RowKind::kNormal ? 3.0F : 2.0F);
  std::vector<float> row(vocab_size);
  for (float& logit : row) logit = normal(random);
  for (size_t i = 0; kind == RowKind::kPeaked && i < 20; ++i)
    row[(i * 7919) % vocab_size] = 20.0F - static_cast<float>(i) / 2;
  return row;
}

void measure(size_t vocab_size, RowKind kind, long repetitions) {
  const std::vector<float> row = make_row(vocab_size, kind);
  const std::string_view kind_name = kind == RowKind::kNormal ? "normal" : "peaked";
  const auto say = [&](std::string_view name, const std::function<void(uint64_t)>& call) {
    fmt::print("{:>7} {:7} {:16} {:9.1f} us\n", vocab_size, kind_name, name,
               least_us(repetitions, call));
  };
  Sampler sampler;
  for (const auto& [name, params] : kDraws)
    say(name, [&](uint64_t i) { sampler.draw(row, params, chance_of({.slot = i})); });
  say("rank 32", [&](uint64_t) { sampler.rank(row, 1, 32); });
  say("best 32", [&](uint64_t) { sampler.best(row, 32); });
  say("whole row", [&](uint64_t) { sampler.best(row, 0); });
  const std::vector<TokenId> tokens{1, 2, 3};
  say("log-probability", [&](uint64_t) { log_probabilities(row, tokens); });
  say("entropy", [&](uint64_t) { entropy(row); });
  LogitRules rules;
  rules.allowed.assign(vocab_size / 32, 0x55555555);
  std::vector<float> scratch;
  say("mask", [&](uint64_t) { rules.apply(row, scratch); });
  for (TokenId token = 0; token < vocab_size; token += 2) rules.bias.emplace_back(token, 1.0F);
  say("bias of a half", [&](uint64_t) { rules.apply(row, scratch); });
}

}  // namespace
}  // namespace pie::sample

int main(int argc, char** argv) {
  const long repetitions = argc > 1 ? std::max(1L, std::strtol(argv[1], nullptr, 10)) : 200;
  for (const size_t vocab_size : {size_t{49'152}, size_t{262'144}}) {
    for (const auto kind : {pie::sample::RowKind::kNormal, pie::sample::RowKind::kPeaked})
      pie::sample::measure(vocab_size, kind, repetitions);
  }
}
