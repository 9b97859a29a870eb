// Measures steps of an executor alone:
//
//   engine_bench MODEL.gguf [--executor native|ggml] [--threads N] [--repeat N] [--only CASE]
//   [--adapters N] [--json]
//
// decode_1          one sequence behind 200 tokens, one token a step
// decode_1_long     the same behind 8,000 tokens
// decode_32         32 sequences behind 200 tokens of their own
// prefill_512       512 tokens of one sequence in one step
// shared_prefix_32  32 sequences behind 64 tokens of their own and 1,024 that they share
//
// With --adapters N sequence i is computed under adapter i mod N, of rank 8 over all matrices.
//
// Times are of one step: the median of the repetitions, the fastest one, and the least CPU time of
// all threads (which tells something even while other work runs on the machine).
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "exec/ggml_executor.h"
#include "exec/native_executor.h"
#include "model/model.h"
#include "support/random_adapter.h"

namespace pie {
namespace {

constexpr uint32_t kPage = 16;
constexpr uint32_t kStepTokens = 512;

struct Options {
  std::string model, executor = "native", only;
  uint32_t threads = 1;
  uint32_t repeat = 7;
  uint32_t adapters = 0;
  bool is_json = false;
};

struct Timing {
  std::string name;
  uint32_t tokens = 0;  ///< a step
  double median_ms = 0, best_ms = 0, cpu_ms = 0;
};

struct Cost {
  double ms = 0, cpu_ms = 0;
};

double cpu_seconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Sequences over an executor; pages are given out in order.
class Load {
 public:
  Load(exec::LogitsExecutor& executor, uint32_t vocab) : executor_(executor), vocab_(vocab) {}

  struct Sequence {
    std::vector<KvPageId> table;
    uint32_t length = 0;
    std::vector<exec::StepToken> tokens;  ///< of the step in hand
    model::AdapterRef adapter;
  };

  /// A sequence of `length` tokens behind the pages of another one.
  Sequence make(const Sequence& prefix, uint32_t length) {
    Sequence sequence{prefix.table, prefix.length, {}, nullptr};
    while (sequence.length < length) {
      const uint32_t count = std::min(kStepTokens, length - sequence.length);
      Sequence* list[] = {&sequence};
      step(list, count, false);
      sequence.length += count;
    }
    return sequence;
  }

  /// One step of `count` tokens for each sequence, whose lengths stay.
  Cost step(std::span<Sequence* const> sequences, uint32_t count, bool has_logits) {
    exec::StepBatch batch;
    for (Sequence* s : sequences) {
      s->tokens.clear();
      for (uint32_t i = 0; i < count; ++i) {
        s->tokens.push_back({.id = (draw_ += 7919) % vocab_, .position = s->length + i});
      }
      while (s->table.size() * kPage < s->length + count) s->table.emplace_back(next_page_++);
      exec::StepSlice slice{s->tokens, s->table, s->length, {}, {}, {}};
      slice.adapter = s->adapter.get();
      if (has_logits) slice.logit_rows.push_back(count - 1);
      batch.slices.push_back(std::move(slice));
    }
    const double cpu_start = cpu_seconds();
    const auto start = std::chrono::steady_clock::now();
    const auto output = executor_.execute(batch);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    if (!output.ok()) {
      fmt::print(stderr, "{}\n", output.error().message);
      std::exit(1);
    }
    return {took.count() * 1e3, (cpu_seconds() - cpu_start) * 1e3};
  }

 private:
  exec::LogitsExecutor& executor_;
  uint32_t vocab_;
  uint32_t next_page_ = 0;
  uint32_t draw_ = 0;
};

Timing measure(Load& load, const std::string& name, std::vector<Load::Sequence>& sequences,
               uint32_t count, const Options& options) {
  std::vector<Load::Sequence*> list;
  for (Load::Sequence& s : sequences) list.push_back(&s);
  load.step(list, count, true);
  std::vector<Cost> costs;
  // Short steps are many, so that the thread count settles and the median means something.
  const uint32_t repeat = options.repeat * (count == 1 ? 8 : 1);
  for (uint32_t i = 0; i < repeat; ++i) costs.push_back(load.step(list, count, true));
  const auto by_cpu = [](const Cost& a, const Cost& b) { return a.cpu_ms < b.cpu_ms; };
  const double cpu_ms = std::min_element(costs.begin(), costs.end(), by_cpu)->cpu_ms;
  std::sort(costs.begin(), costs.end(), [](const Cost& a, const Cost& b) { return a.ms < b.ms; });
  return {name, count * static_cast<uint32_t>(list.size()), costs[costs.size() / 2].ms, costs[0].ms,
          cpu_ms};
}

std::vector<Timing> run(const Options& options) {
  const auto model = model::Model::load(options.model);
  if (!model.ok()) {
    fmt::print(stderr, "{}\n", model.error().message);
    std::exit(1);
  }
  const auto make =
      options.executor == "ggml" ? exec::make_ggml_executor : exec::make_native_executor;
  const auto executor = make(*model, {.page_count = 1024,
                                      .page_size = kPage,
                                      .step_tokens_max = kStepTokens,
                                      .thread_count = options.threads});
  if (!executor.ok()) {
    fmt::print(stderr, "{}\n", executor.error().message);
    std::exit(1);
  }
  std::vector<model::AdapterRef> adapters;
  for (uint32_t i = 0; i < options.adapters; ++i)
    adapters.push_back(test::random_adapter((*model)->architecture(), {.rank = 8, .seed = i}));
  std::vector<Timing> timings;
  const auto add = [&](const std::string& name, uint32_t sequence_count, uint32_t shared,
                       uint32_t length, uint32_t count) {
    if (!options.only.empty() && options.only != name) return;
    Load load(**executor, (*model)->info().vocab_size);
    const Load::Sequence prefix = load.make({}, shared);
    std::vector<Load::Sequence> sequences;
    for (uint32_t i = 0; i < sequence_count; ++i) sequences.push_back(load.make(prefix, length));
    for (uint32_t i = 0; i < sequence_count && !adapters.empty(); ++i)
      sequences[i].adapter = adapters[i % adapters.size()];
    timings.push_back(measure(load, name, sequences, count, options));
  };
  add("decode_1", 1, 0, 200, 1);
  add("decode_1_long", 1, 0, 8000, 1);
  add("decode_32", 32, 0, 200, 1);
  add("prefill_512", 1, 0, 0, 512);
  add("shared_prefix_32", 32, 1024, 1088, 1);
  return timings;
}

void print(const Options& options, const std::vector<Timing>& timings) {
  std::string separator;
  if (options.is_json) fmt::print("{{");
  for (const Timing& t : timings) {
    const double rate = t.tokens / t.median_ms * 1e3;
    if (options.is_json) {
      fmt::print(
          R"({}"{}":{{"median_ms":{:.3f},"best_ms":{:.3f},"cpu_ms":{:.3f},"tokens_per_second":{:.1f}}})",
          separator, t.name, t.median_ms, t.best_ms, t.cpu_ms, rate);
      separator = ",";
    } else {
      fmt::print("{:<17}{:>10.3f} ms median{:>10.3f} ms best{:>10.3f} ms CPU{:>10.1f} tokens/s\n",
                 t.name, t.median_ms, t.best_ms, t.cpu_ms, rate);
    }
  }
  if (options.is_json) fmt::print("}}\n");
}

}  // namespace
}  // namespace pie

int main(int argc, char** argv) {
  pie::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const bool has_value = i + 1 < argc;
    if (arg == "--json") {
      options.is_json = true;
    } else if (arg == "--executor" && has_value) {
      options.executor = argv[++i];
    } else if (arg == "--only" && has_value) {
      options.only = argv[++i];
    } else if (arg == "--threads" && has_value) {
      options.threads = static_cast<uint32_t>(std::atoi(argv[++i]));
    } else if (arg == "--adapters" && has_value) {
      options.adapters = static_cast<uint32_t>(std::max(0, std::atoi(argv[++i])));
    } else if (arg == "--repeat" && has_value) {
      options.repeat = static_cast<uint32_t>(std::max(1, std::atoi(argv[++i])));
    } else if (options.model.empty() && arg.rfind("--", 0) != 0) {
      options.model = arg;
    } else {
      fmt::print(stderr,
                 "engine_bench: got '{}', expected MODEL.gguf and options; see the source\n", arg);
      return 2;
    }
  }
  if (options.model.empty()) {
    fmt::print(stderr, "engine_bench: got no model, expected MODEL.gguf\n");
    return 2;
  }
  pie::print(options, pie::run(options));
  return 0;
}
