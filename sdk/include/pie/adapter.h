#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "pie/adapter_abi.h"
#include "pie/forward.h"
#include "pie/model.h"
#include "pie/result.h"
#include "pie/task.h"

// Low-rank adapters (inferlet:adapter), and evolution strategies over them (inferlet:zo). An
// adapter is a value: a pass is computed under what it was when it was set, an export is what it
// was when it was exported.

namespace inferlet {

/// How an adapter evolves: from generation to generation the mean of a population of candidates
/// moves towards those that score best.
struct EvolutionOptions {
  uint32_t rank = 8;
  float alpha = 16;
  uint32_t population_size = 16;  ///< candidates of one update, at most
  float mu_fraction = 0.5F;       ///< of them, the best: what the next mean is made from
  float initial_sigma = 0.02F;    ///< standard deviation of the candidates
};

/// An adapter of the model that a queue belongs to. It goes with this object; what was exported
/// stays.
class Adapter {
 public:
  /// One that nothing was put into: passes can't use it yet.
  explicit Adapter(const Model& model);
  /// What was exported under a name of the user's.
  static Result<Adapter> import(const Model& model, std::string_view name);
  Adapter(Adapter&& other) noexcept
      : queue_(std::exchange(other.queue_, std::nullopt)), pointer_(other.pointer_) {}
  Adapter& operator=(Adapter&& other) noexcept;
  ~Adapter();

  uint32_t pointer() const { return pointer_; }

  /// Reads a GGUF file of llama.cpp's format (general.type = "adapter"). The program ends when it
  /// is none, or one of another model. `name`: for messages.
  void upload(Blob file, std::string_view name = {});
  /// Such a file, in F32; one that evolves goes on where it was when it is uploaded again.
  Task<Blob> download(std::string_view name = {}) const;

  /// Gives it a name of the user's, for as long as the server runs. An error when the name is in
  /// use: release_export gives it up.
  Result<void> export_as(std::string_view name) const;
  static Result<void> release_export(const Model& model, std::string_view name);

  /// Makes it one that evolves: Q and V of every layer, as the model is at first.
  void initialize(const EvolutionOptions& options);
  /// The next generation, from the scores (greater is better) of candidates.
  void update(std::span<const float> scores, std::span<const int64_t> seeds, float max_sigma);

  /// The pass is computed under it as it is now; with a seed, under that candidate of one that
  /// evolves: seeds s and -s are mirror images.
  void set(const ForwardPass& pass, std::optional<int64_t> seed = {}) const;

 private:
  Adapter(Queue queue, uint32_t pointer) : queue_(std::move(queue)), pointer_(pointer) {}

  std::optional<Queue> queue_;  ///< none: moved away
  uint32_t pointer_ = 0;
};

}  // namespace inferlet
