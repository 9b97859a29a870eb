// How fast the products are: per format and number of tokens, beside what one core of this machine
// can do.
//
//   kernel_bench                    a table
//   kernel_bench --json             one JSON object
//   kernel_bench --machine THREADS  one JSON object: what that many threads together can do
//
// One thread, its own processor time, best of the repetitions that fit into a quarter of a second;
// of --machine, the sum over threads that run at the same time, each by the clock on the wall.
#include <sys/mman.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kernels/matmul.h"
#include "kernels/peak.h"

namespace pie::kernels {
namespace {

constexpr uint32_t kRows = 1536;
constexpr uint32_t kLength = 1536;
constexpr uint32_t kTokenCounts[] = {1, 4, 8, 32, 512};
constexpr size_t kBeyondCaches = 96 << 20;
constexpr double kSecondsPerPoint = 0.25;

double thread_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Least time of f over repetitions, at least three.
template <class Function>
double best_seconds(const Function& f) {
  const double until = thread_seconds() + kSecondsPerPoint;
  double best = 1e9;
  for (int i = 0; i < 3 || thread_seconds() < until; ++i) {
    const double begin = thread_seconds();
    f();
    best = std::min(best, thread_seconds() - begin);
  }
  return best;
}

/// Memory on huge pages, beyond the caches, that is read as products of few tokens read weights: in
/// order, asked for 4 KiB ahead.
class Reader {
 public:
  static constexpr size_t kBytes = size_t{256} << 20;
  Reader() : memory_(std::aligned_alloc(2 << 20, kBytes), &std::free) {
    madvise(memory_.get(), kBytes, MADV_HUGEPAGE);
    std::memset(memory_.get(), 1, kBytes);
  }
  /// A number that depends on all of it.
  uint64_t read() const {
    const auto* words = static_cast<const uint64_t*>(memory_.get());
    uint64_t sums[8] = {};
    for (size_t i = 0; i < kBytes / 8; i += 8) {
      __builtin_prefetch(words + i + 512);
      for (size_t j = 0; j < 8; ++j) sums[j] += words[i + j];
    }
    uint64_t total = 0;
    for (const uint64_t sum : sums) total += sum;
    return total;
  }

 private:
  std::unique_ptr<void, decltype(&std::free)> memory_;
};

double read_bytes_per_second() {
  const Reader reader;
  uint64_t total = 0;
  const double seconds = best_seconds([&] { total += reader.read(); });
  if (total == 0) std::abort();
  return static_cast<double>(Reader::kBytes) / seconds;
}

/// Calls of f per second of all threads together, f(thread) being called for half a second.
template <class Function>
double calls_per_second(uint32_t threads, const Function& f) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kDuration(500);
  std::barrier start(static_cast<ptrdiff_t>(threads));
  std::vector<double> rates(threads);
  const auto work = [&](uint32_t thread) {
    f(thread);  // warm-up
    start.arrive_and_wait();
    const auto begin = Clock::now();
    int calls = 0;
    for (; Clock::now() - begin < kDuration; ++calls) f(thread);
    rates[thread] = calls / std::chrono::duration<double>(Clock::now() - begin).count();
  };
  std::vector<std::thread> others;
  for (uint32_t i = 1; i < threads; ++i) others.emplace_back(work, i);
  work(0);
  for (std::thread& other : others) other.join();
  double sum = 0;
  for (const double rate : rates) sum += rate;
  return sum;
}

void print_machine(uint32_t threads) {
  constexpr uint64_t kRounds = 20'000;
  const Isa isa = best_isa();
  std::vector<uint64_t> results(threads);
  std::vector<Reader> readers(threads);
  const double reads = calls_per_second(
      threads, [&](uint32_t thread) { results[thread] += readers[thread].read(); });
  const auto operations = static_cast<double>(run_peak_dot_products(isa, kRounds));
  const double rounds =
      calls_per_second(threads, [&](uint32_t) { run_peak_dot_products(isa, kRounds); });
  for (const uint64_t result : results) {
    if (result == 0) std::abort();
  }
  std::printf("{\"isa\": \"%s\", \"threads\": %u, \"int8_peak_gops\": %.1f, \"read_gbps\": %.2f}\n",
              isa_name(isa), threads, rounds * operations / 1e9,
              reads * static_cast<double>(Reader::kBytes) / 1e9);
}

double peak_operations_per_second(Isa isa) {
  double operations = 0;
  const double seconds =
      best_seconds([&] { operations = static_cast<double>(run_peak_dot_products(isa, 200'000)); });
  return operations / seconds;
}

/// Different matrices of the format, together larger than the caches.
std::vector<PackedMatrix> make_matrices(Format format) {
  std::vector<uint16_t> file(file_bytes(format, kRows, kLength) / 2);
  uint32_t random = 1;
  for (uint16_t& word : file) {
    random = random * 1664525U + 1013904223U;
    word = static_cast<uint16_t>(random >> 16 & 0xBBFFU);  // finite as f16, bf16 and f32
  }
  std::vector<PackedMatrix> matrices;
  for (size_t bytes = 0; bytes < kBeyondCaches; bytes += matrices.back().size_bytes()) {
    matrices.push_back(PackedMatrix::pack({format, kRows, kLength, file.data()}));
  }
  return matrices;
}

struct Point {
  Format format;
  uint32_t tokens;
  double operations_per_second;
  double weight_bytes_per_second;
};

Point measure(Isa isa, const std::vector<PackedMatrix>& matrices, uint32_t tokens) {
  const Format format = matrices[0].format();
  const ActivationKind kind = format_traits(format).activations;
  const size_t bytes = (activation_bytes(kind, tokens, kLength) + 63) / 64 * 64;
  const std::unique_ptr<std::byte, decltype(&std::free)> memory(
      static_cast<std::byte*>(std::aligned_alloc(64, bytes)), &std::free);
  const Activations activations = {kind, tokens, kLength, memory.get()};
  std::vector<float> x(size_t{tokens} * kLength);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 37 % 101) - 50.0F;
  pack_activations(isa, activations, x.data(), kLength, 0, tokens);
  std::vector<float> y(size_t{tokens} * kRows);
  // Few tokens are bounded by memory: pass over everything. Many are not: one matrix is enough.
  const size_t count = tokens <= 8 ? matrices.size() : 1;
  const double seconds = best_seconds([&] {
    for (size_t i = 0; i < count; ++i) {
      matmul(isa, matrices[i], activations, 0, matrices[i].panel_count(),
             {.y = y.data(), .stride = kRows});
    }
  });
  const double operations = 2.0 * kRows * kLength * tokens * static_cast<double>(count);
  return {format, tokens, operations / seconds,
          static_cast<double>(matrices[0].size_bytes() * count) / seconds};
}

void print_json(Isa isa, double peak, double bandwidth, const std::vector<Point>& points) {
  std::printf(
      "{\"isa\": \"%s\", \"int8_peak_gops\": %.1f, \"read_gbps\": %.2f, \"rows\": %u, "
      "\"k\": %u, \"products\": [",
      isa_name(isa), peak / 1e9, bandwidth / 1e9, kRows, kLength);
  const char* separator = "";
  for (const Point& point : points) {
    std::printf(
        "%s\n  {\"format\": \"%s\", \"tokens\": %u, \"gops\": %.1f, \"of_peak\": %.3f, "
        "\"weights_gbps\": %.2f, \"of_bandwidth\": %.3f}",
        separator, format_traits(point.format).name, point.tokens,
        point.operations_per_second / 1e9, point.operations_per_second / peak,
        point.weight_bytes_per_second / 1e9, point.weight_bytes_per_second / bandwidth);
    separator = ",";
  }
  std::printf("]}\n");
}

void print_table(Isa isa, double peak, double bandwidth, const std::vector<Point>& points) {
  std::printf("%s, one core: int8 peak %.0f GOP/s, reads %.1f GB/s; %u x %u\n", isa_name(isa),
              peak / 1e9, bandwidth / 1e9, kRows, kLength);
  for (const Point& point : points) {
    std::printf("%-5s %4u tokens %7.1f GOP/s (%3.0f %%) %7.2f GB/s (%3.0f %%)\n",
                format_traits(point.format).name, point.tokens, point.operations_per_second / 1e9,
                100 * point.operations_per_second / peak, point.weight_bytes_per_second / 1e9,
                100 * point.weight_bytes_per_second / bandwidth);
  }
}

void run(bool json) {
  const Isa isa = best_isa();
  const double peak = peak_operations_per_second(isa);
  const double bandwidth = read_bytes_per_second();
  std::vector<Point> points;
  for (int format = 0; format < kFormatCount; ++format) {
    const std::vector<PackedMatrix> matrices = make_matrices(static_cast<Format>(format));
    for (const uint32_t tokens : kTokenCounts) points.push_back(measure(isa, matrices, tokens));
  }
  (json ? print_json : print_table)(isa, peak, bandwidth, points);
}

}  // namespace
}  // namespace pie::kernels

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  const int threads = mode == "--machine" && argc == 3 ? std::atoi(argv[2]) : 0;
  if (threads > 0 && threads <= 1024) {
    pie::kernels::print_machine(static_cast<uint32_t>(threads));
    return 0;
  }
  if (argc > 1 && (argc > 2 || mode != "--json")) {
    std::fprintf(stderr, "[kernel_bench] got %s, expected nothing, --json or --machine THREADS\n",
                 argv[1]);
    return 2;
  }
  pie::kernels::run(mode == "--json");
  return 0;
}
