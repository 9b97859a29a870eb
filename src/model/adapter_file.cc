#include "model/adapter_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ggml.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "model/architecture.h"

namespace pie::model {
namespace {

/// Names within a layer, in the order of kAdaptedRoles.
constexpr std::string_view kNames[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                       "ffn_gate", "ffn_up", "ffn_down"};
static_assert(std::size(kNames) == kAdaptedRoles.size());

constexpr const char* kAlpha = "adapter.lora.alpha";
constexpr const char* kPopulation = "pie.evolution.population_size";
constexpr const char* kMuFraction = "pie.evolution.mu_fraction";
constexpr const char* kSigma = "pie.evolution.sigma";
constexpr const char* kGeneration = "pie.evolution.generation";
constexpr const char* kPath = "pie.evolution.path";

Error invalid(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

std::string name_of(uint32_t layer, size_t role) {
  return fmt::format("blk.{}.{}.weight", layer, kNames[role]);
}

Result<void> check_text(const GgufBytes& file, const char* key, std::string_view expected) {
  const std::string* text = file.text(key);
  if (text != nullptr && *text == expected) return {};
  return invalid(fmt::format("[{}] got {}, expected '{}'", key,
                             text == nullptr ? "nothing" : fmt::format("'{:.80}'", *text),
                             expected));
}

Result<void> check_shape(const std::string& name, const GgufBytes::Tensor& tensor, uint64_t rows,
                         uint64_t columns) {
  const auto type = static_cast<ggml_type>(tensor.type);
  if (type != GGML_TYPE_F32 && ggml_get_type_traits(type)->to_float == nullptr)
    return invalid(fmt::format("[{}] got type {}, expected f32, f16, bf16 or a quantised one", name,
                               ggml_type_name(type)));
  if (tensor.shape.size() == 2 && tensor.shape[0] == rows && tensor.shape[1] == columns) return {};
  return invalid(fmt::format("[{}] got shape [{}], expected [{}, {}]", name,
                             fmt::join(tensor.shape, ", "), rows, columns));
}

/// All values as f32.
void read_values(const GgufBytes::Tensor& tensor, float* out) {
  const auto type = static_cast<ggml_type>(tensor.type);
  if (type == GGML_TYPE_F32) {
    std::memcpy(out, tensor.data.data(), tensor.data.size());
    return;
  }
  // Blocks are read through types of their own: aligned.
  const auto count = static_cast<int64_t>(tensor.shape[0] * tensor.shape[1]);
  const Mapping aligned(tensor.data.size());
  std::copy(tensor.data.begin(), tensor.data.end(), aligned.get());
  ggml_get_type_traits(type)->to_float(aligned.get(), out, count);
}

Result<void> check_finite(const std::string& name, std::span<const float> values) {
  const auto wrong =
      std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  if (wrong == values.end()) return {};
  return invalid(fmt::format("[{}] got the number {}, expected finite ones", name, *wrong));
}

}  // namespace

Result<AdapterFile> AdapterFile::open(std::span<const std::byte> bytes,
                                      const Architecture& architecture) {
  AdapterFile opened;
  Result<GgufBytes> file = GgufBytes::parse(bytes);
  if (!file.ok()) return invalid(file.error().message);
  opened.file_ = std::move(*file);
  PIE_TRY(check_text(opened.file_, "general.type", "adapter"));
  PIE_TRY(check_text(opened.file_, "general.architecture", architecture.family));
  PIE_TRY(check_text(opened.file_, "adapter.type", "lora"));
  const std::optional<double> alpha = opened.file_.number(kAlpha);
  if (!alpha || !std::isfinite(static_cast<float>(*alpha)))
    return invalid(fmt::format("[{}] got {}, expected a finite number", kAlpha,
                               alpha ? fmt::to_string(*alpha) : "nothing"));
  opened.alpha_ = static_cast<float>(*alpha);
  PIE_TRY(opened.find_matrices(architecture));
  PIE_TRY(opened.read_evolution());
  return opened;
}

/// Pairs A with B, in the order of layers and roles; whatever belongs to none is refused.
Result<void> AdapterFile::find_matrices(const Architecture& architecture) {
  const auto& tensors = file_.tensors();
  const auto find = [&](const std::string& name) {
    const auto at = tensors.find(name);
    return at == tensors.end() ? nullptr : &at->second;
  };
  for (uint32_t layer = 0; layer < architecture.layer_count; ++layer) {
    for (size_t role = 0; role < kAdaptedRoles.size(); ++role) {
      const MatrixSize size = adapted_size(architecture, kAdaptedRoles[role]);
      Pair pair{.name = name_of(layer, role), .matrix = layout_.matrices.size()};
      pair.a = find(pair.name + ".lora_a");
      pair.b = find(pair.name + ".lora_b");
      if (pair.a == nullptr && pair.b == nullptr) {
        layout_.add(size, 0, 0);
        continue;
      }
      if (pair.a == nullptr || pair.b == nullptr)
        return invalid(
            fmt::format("[{}] got one of .lora_a and .lora_b, expected both", pair.name));
      const uint64_t rank = pair.a->shape[0];
      if (rank == 0 || rank > kAdapterRankMax)
        return invalid(fmt::format("[{}.lora_a] got rank {}, expected 1 to {}", pair.name, rank,
                                   kAdapterRankMax));
      PIE_TRY(check_shape(pair.name + ".lora_a", *pair.a, rank, size.inputs));
      PIE_TRY(check_shape(pair.name + ".lora_b", *pair.b, size.outputs, rank));
      layout_.add(size, static_cast<uint32_t>(rank),
                  low_rank_factor(alpha_, static_cast<uint32_t>(rank)));
      pairs_.push_back(std::move(pair));
    }
  }
  if (pairs_.size() * 2 == tensors.size()) return {};
  for (const auto& [name, tensor] : tensors) {
    const bool is_known = std::any_of(pairs_.begin(), pairs_.end(), [&](const Pair& pair) {
      return name == pair.name + ".lora_a" || name == pair.name + ".lora_b";
    });
    if (!is_known)
      return invalid(fmt::format(
          "[{}] got this tensor, expected blk.N.NAME.weight.lora_a and .lora_b with N below {} and "
          "NAME of {}: others are not served",
          name.substr(0, 80), architecture.layer_count, fmt::join(kNames, ", ")));
  }
  return {};
}

Result<void> AdapterFile::read_evolution() {
  const std::optional<double> population = file_.number(kPopulation);
  if (!population) return {};
  const auto number = [&](const char* key, double above, double most) -> Result<float> {
    const double value = file_.number(key).value_or(std::nan(""));
    if (value > above && value <= most) return static_cast<float>(value);
    return invalid(
        fmt::format("[{}] got {}, expected above {}, at most {}", key, value, above, most));
  };
  PIE_TRY_ASSIGN(const float size, number(kPopulation, 0, kPopulationMax));
  PIE_TRY_ASSIGN(const float mu_fraction, number(kMuFraction, 0, 1));
  PIE_TRY_ASSIGN(const float sigma, number(kSigma, 0, 1e30));
  PIE_TRY_ASSIGN(const float generation, number(kGeneration, -1, 1 << 24));
  const auto path = file_.floats(kPath);
  const size_t wanted = layout_.b_count * sizeof(float);
  if (!path || path->size() != wanted)
    return invalid(fmt::format("[{}] got {} bytes, expected {}: as many numbers as B has", kPath,
                               path ? path->size() : 0, wanted));
  evolution_ = Evolution{std::max(1U, static_cast<uint32_t>(size)), mu_fraction, sigma,
                         static_cast<uint32_t>(std::max(0.0F, generation)), nullptr};
  return {};
}

uint64_t AdapterFile::size_bytes() const {
  return layout_.size_bytes() + (evolution_ ? layout_.b_count * sizeof(float) : 0);
}

/// A pair of matrices in each piece, then the path.
class AdapterFile::Load final : public AdapterWork {
 public:
  explicit Load(const AdapterFile& file)
      : file_(file),
        a_(std::make_shared<Mapping>(file.layout_.a_count * sizeof(float))),
        b_(std::make_shared<Mapping>(file.layout_.b_count * sizeof(float))) {}

  Result<bool> advance() override {
    if (done_ < file_.pairs_.size()) {
      PIE_TRY(read_pair(file_.pairs_[done_++]));
    } else if (file_.evolution_) {
      const auto bytes = *file_.file_.floats(kPath);
      path_ = std::make_shared<Mapping>(bytes.size());
      std::copy(bytes.begin(), bytes.end(), path_->get());
      PIE_TRY(check_finite(kPath, {path_->as<float>(), bytes.size() / sizeof(float)}));
      return false;
    }
    return done_ < file_.pairs_.size() || file_.evolution_.has_value();
  }

  Adapter take() override {
    Adapter adapter;
    adapter.alpha = file_.alpha_;
    adapter.matrices = file_.layout_.matrices;
    adapter.a = std::move(a_);
    adapter.b = std::move(b_);
    adapter.evolution = file_.evolution_;
    if (adapter.evolution) adapter.evolution->path = std::move(path_);
    return adapter;
  }

 private:
  Result<void> read_pair(const Pair& pair) {
    const LowRank& matrix = file_.layout_.matrices[pair.matrix];
    const uint64_t inputs = pair.a->shape[1];
    const uint64_t outputs = pair.b->shape[0];
    float* to_a = a_->as<float>() + matrix.first_a;
    read_values(*pair.a, to_a);
    PIE_TRY(check_finite(pair.name + ".lora_a", {to_a, matrix.rank * inputs}));
    std::vector<float> rows(outputs * matrix.rank);
    read_values(*pair.b, rows.data());
    PIE_TRY(check_finite(pair.name + ".lora_b", rows));
    float* to_b = b_->as<float>() + matrix.first_b;
    for (uint64_t i = 0; i < outputs; ++i) {
      for (uint32_t j = 0; j < matrix.rank; ++j) to_b[j * outputs + i] = rows[i * matrix.rank + j];
    }
    return {};
  }

  const AdapterFile& file_;
  std::shared_ptr<Mapping> a_, b_, path_;
  size_t done_ = 0;
};

std::unique_ptr<AdapterWork> AdapterFile::start_load() const {
  return std::make_unique<Load>(*this);
}

std::vector<uint8_t> write_adapter(const Adapter& adapter, const Architecture& architecture,
                                   std::string_view name) {
  GgufWriter file;
  file.text("general.type", "adapter");
  file.text("general.architecture", architecture.family);
  file.text("general.name", name);
  file.text("adapter.type", "lora");
  for (size_t i = 0; i < adapter.matrices.size(); ++i) {
    const LowRank& matrix = adapter.matrices[i];
    if (matrix.rank == 0) continue;
    const size_t role = i % kAdaptedRoles.size();
    const MatrixSize size = adapted_size(architecture, kAdaptedRoles[role]);
    const auto layer = static_cast<uint32_t>(i / kAdaptedRoles.size());
    const float* a = adapter.a_of(matrix);
    const float* b = adapter.b_of(matrix);
    std::vector<float> rows(size_t{size.outputs} * matrix.rank);
    for (size_t o = 0; o < size.outputs; ++o) {
      for (size_t j = 0; j < matrix.rank; ++j) rows[o * matrix.rank + j] = b[j * size.outputs + o];
    }
    file.matrix(name_of(layer, role) + ".lora_a", matrix.rank, size.inputs,
                {a, a + size_t{matrix.rank} * size.inputs});
    file.matrix(name_of(layer, role) + ".lora_b", size.outputs, matrix.rank, std::move(rows));
  }
  file.number(kAlpha, adapter.alpha);
  if (adapter.evolution) {
    const Evolution& evolution = *adapter.evolution;
    file.number(kPopulation, static_cast<float>(evolution.population_size));
    file.number(kMuFraction, evolution.mu_fraction);
    file.number(kSigma, evolution.sigma);
    file.number(kGeneration, static_cast<float>(evolution.generation));
    file.floats(kPath, {evolution.path->as<float>(), evolution.path->size() / sizeof(float)});
  }
  return file.write();
}

}  // namespace pie::model
