#include "model/evolution.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "model/architecture.h"

namespace pie::model {
namespace {

constexpr uint64_t kGolden = 0x9E3779B97F4A7C15ULL;
/// Of the first A, by layer and matrix: no candidate's, whose seeds a program gives.
constexpr uint64_t kFirstFactors = 0xA0ADA97E20000000ULL;

uint64_t mix(uint64_t x) {
  x += kGolden;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

/// Values [first, first + count) of the noise with this key.
void add_noise_of(uint64_t key, float factor, size_t first, size_t count, float* out) {
  constexpr double kUnit = 0x1p-32;
  for (size_t i = first; i < first + count;) {
    const uint64_t h = mix(key + i / 2 * kGolden);
    const double r = std::sqrt(-2.0 * std::log((static_cast<double>(h >> 32) + 1.0) * kUnit));
    const double t = 2.0 * std::numbers::pi * static_cast<double>(h & 0xFFFFFFFFU) * kUnit;
    const float pair[2] = {static_cast<float>(r * std::cos(t)),
                           static_cast<float>(r * std::sin(t))};
    for (size_t end = i / 2 * 2 + 2; i < end && i < first + count; ++i) {
      const float added = factor * pair[i % 2];
      out[i - first] += added;
    }
  }
}

Error invalid(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

class EvolvingWork final : public AdapterWork {
 public:
  EvolvingWork(const Architecture& architecture, const EvolutionParams& params)
      : layout_(evolving_layout(architecture, params)),
        inputs_(architecture.embedding_size),
        a_(std::make_shared<Mapping>(layout_.a_count * sizeof(float))) {
    made_.alpha = params.alpha;
    made_.evolution = Evolution{params.population_size, params.mu_fraction, params.initial_sigma, 0,
                                std::make_shared<Mapping>(layout_.b_count * sizeof(float))};
  }

  Result<bool> advance() override {
    const size_t count = std::min(kNoisePiece, layout_.a_count - done_);
    const auto factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(inputs_)));
    add_noise_of(kFirstFactors, factor, done_, count, a_->as<float>() + done_);
    done_ += count;
    return done_ < layout_.a_count;
  }

  Adapter take() override {
    made_.matrices = std::move(layout_.matrices);
    made_.a = a_;
    made_.b = std::make_shared<Mapping>(layout_.b_count * sizeof(float));
    return std::move(made_);
  }

 private:
  AdapterLayout layout_;
  const uint32_t inputs_;
  const std::shared_ptr<Mapping> a_;
  Adapter made_;
  size_t done_ = 0;
};

std::shared_ptr<Mapping> copy_of(const Mapping& values) {
  auto copy = std::make_shared<Mapping>(values.size());
  std::copy_n(values.get(), values.size(), copy->get());
  return copy;
}

class CandidateWork final : public AdapterWork {
 public:
  CandidateWork(AdapterRef mean, int64_t seed)
      : mean_(std::move(mean)), seed_(seed), b_(copy_of(*mean_->b)) {}

  Result<bool> advance() override {
    const size_t all = mean_->b_values().size();
    const size_t count = std::min(kNoisePiece, all - done_);
    add_noise(seed_, mean_->evolution->sigma, done_, count, b_->as<float>() + done_);
    done_ += count;
    return done_ < all;
  }

  Adapter take() override {
    Adapter made = *mean_;
    made.charge = nullptr;
    made.evolution.reset();
    made.b = b_;
    return made;
  }

 private:
  const AdapterRef mean_;
  const int64_t seed_;
  const std::shared_ptr<Mapping> b_;
  size_t done_ = 0;
};

class UpdateWork final : public AdapterWork {
 public:
  UpdateWork(AdapterRef mean, const Scores& scores)
      : mean_(std::move(mean)),
        max_sigma_(scores.max_sigma),
        step_(mean_->b_values().size() * sizeof(float)) {
    std::vector<size_t> order(scores.scores.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return scores.scores[a] > scores.scores[b]; });
    const double wanted = std::floor(double{mean_->evolution->mu_fraction} *
                                     static_cast<double>(scores.scores.size()));
    const auto mu = static_cast<size_t>(std::max(1.0, wanted));
    double sum = 0;
    for (size_t i = 0; i < mu; ++i) {
      const double weight =
          std::log(static_cast<double>(mu) + 0.5) - std::log(static_cast<double>(i) + 1.0);
      parents_.push_back({scores.seeds[order[i]], weight});
      sum += weight;
    }
    for (Parent& parent : parents_) {
      parent.weight /= sum;
      squares_ += parent.weight * parent.weight;
    }
  }

  Result<bool> advance() override {
    const size_t all = step_.size() / sizeof(float);
    const size_t count = std::min(kNoisePiece, all - done_);
    const Parent& parent = parents_[parent_];
    add_noise(parent.seed, static_cast<float>(parent.weight), done_, count,
              step_.as<float>() + done_);
    done_ += count;
    if (done_ == all) {
      done_ = 0;
      ++parent_;
    }
    return parent_ < parents_.size();
  }

  Adapter take() override {
    const Evolution& before = *mean_->evolution;
    const size_t count = step_.size() / sizeof(float);
    const double n = static_cast<double>(count);
    const double mu_eff = 1.0 / squares_;
    const double c = (mu_eff + 2.0) / (n + mu_eff + 5.0);
    const double d = 1.0 + 2.0 * std::max(0.0, std::sqrt((mu_eff - 1.0) / (n + 1.0)) - 1.0) + c;
    const double length = std::sqrt(n) * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n));
    auto b = copy_of(*mean_->b);
    auto path = copy_of(*before.path);
    const auto kept = static_cast<float>(1.0 - c);
    const auto taken = static_cast<float>(std::sqrt(c * (2.0 - c) * mu_eff));
    double squares = 0;
    for (size_t i = 0; i < count; ++i) {
      const float step = step_.as<float>()[i];
      b->as<float>()[i] += before.sigma * step;
      float& at = path->as<float>()[i];
      at = kept * at + taken * step;
      squares += double{at} * at;
    }
    const double change = std::exp(c / d * (std::sqrt(squares) / length - 1.0));
    Adapter made = *mean_;
    made.charge = nullptr;
    made.evolution->sigma =
        static_cast<float>(std::min(double{max_sigma_}, double{before.sigma} * change));
    ++made.evolution->generation;
    made.evolution->path = std::move(path);
    made.b = std::move(b);
    return made;
  }

 private:
  struct Parent {
    int64_t seed;
    double weight;
  };
  const AdapterRef mean_;
  const float max_sigma_;
  std::vector<Parent> parents_;
  double squares_ = 0;
  const Mapping step_;
  size_t parent_ = 0, done_ = 0;
};

}  // namespace

void add_noise(int64_t seed, float factor, size_t first, size_t count, float* out) {
  const uint64_t size = seed < 0 ? 0 - static_cast<uint64_t>(seed) : static_cast<uint64_t>(seed);
  add_noise_of(mix(size), seed < 0 ? -factor : factor, first, count, out);
}

Result<void> check_evolution(const EvolutionParams& params) {
  if (params.rank == 0 || params.rank > kAdapterRankMax)
    return invalid(fmt::format("[rank] got {}, expected 1 to {}", params.rank, kAdapterRankMax));
  if (!std::isfinite(params.alpha) || params.alpha == 0)
    return invalid(fmt::format("[alpha] got {}, expected a finite number besides 0", params.alpha));
  if (params.population_size == 0 || params.population_size > kPopulationMax)
    return invalid(fmt::format("[population-size] got {}, expected 1 to {}", params.population_size,
                               kPopulationMax));
  if (!(params.mu_fraction > 0 && params.mu_fraction <= 1))
    return invalid(fmt::format("[mu-fraction] got {}, expected a number above 0, at most 1",
                               params.mu_fraction));
  if (!(params.initial_sigma > 0) || !std::isfinite(params.initial_sigma))
    return invalid(fmt::format("[initial-sigma] got {}, expected a finite number above 0",
                               params.initial_sigma));
  return {};
}

AdapterLayout evolving_layout(const Architecture& architecture, const EvolutionParams& params) {
  AdapterLayout layout;
  const float factor = low_rank_factor(params.alpha, params.rank);
  for (uint32_t layer = 0; layer < architecture.layer_count; ++layer) {
    for (const TensorRole role : kAdaptedRoles) {
      const bool evolves = role == TensorRole::kQuery || role == TensorRole::kValue;
      layout.add(adapted_size(architecture, role), evolves ? params.rank : 0, evolves ? factor : 0);
    }
  }
  return layout;
}

std::unique_ptr<AdapterWork> start_evolving(const Architecture& architecture,
                                            const EvolutionParams& params) {
  return std::make_unique<EvolvingWork>(architecture, params);
}

std::unique_ptr<AdapterWork> start_candidate(AdapterRef mean, int64_t seed) {
  return std::make_unique<CandidateWork>(std::move(mean), seed);
}

Result<void> check_scores(const Adapter& mean, const Scores& scores) {
  if (!mean.evolution)
    return invalid("[adapter] got one that does not evolve, expected one of initialize-adapter");
  const size_t count = scores.scores.size();
  if (count != scores.seeds.size())
    return invalid(fmt::format("[seeds] got {} for {} scores, expected as many of both",
                               scores.seeds.size(), count));
  if (count == 0 || count > mean.evolution->population_size)
    return invalid(fmt::format("[scores] got {}, expected 1 to {} (the population)", count,
                               mean.evolution->population_size));
  for (const float score : scores.scores) {
    if (!std::isfinite(score))
      return invalid(fmt::format("[scores] got {}, expected finite numbers", score));
  }
  if (!(scores.max_sigma > 0) || !std::isfinite(scores.max_sigma))
    return invalid(
        fmt::format("[max-sigma] got {}, expected a finite number above 0", scores.max_sigma));
  return {};
}

std::unique_ptr<AdapterWork> start_update(AdapterRef mean, Scores scores) {
  return std::make_unique<UpdateWork>(std::move(mean), scores);
}

}  // namespace pie::model
