#include "exec/native/activation_store.h"

#include <algorithm>

#include "kernels/small_ops.h"

namespace pie::exec {

using kernels::ActivationKind;
using kernels::Activations;
using kernels::kTileTokens;

ActivationStore::Memory ActivationStore::allocate(uint32_t rows, uint32_t width) {
  Memory memory;
  for (size_t kind = 0; kind < ActivationSet::kKinds; ++kind) {
    memory.kinds[kind] =
        Mapping(kernels::activation_bytes(static_cast<ActivationKind>(kind), rows, width));
  }
  memory.normed = Mapping(size_t{rows} * width * sizeof(float));
  return memory;
}

ActivationStore::ActivationStore(kernels::Isa isa, uint32_t rows_max, uint32_t width_max,
                                 uint32_t thread_count)
    : isa_(isa), shared_(allocate(rows_max, width_max)) {
  for (uint32_t i = 0; i < thread_count; ++i) {
    private_.push_back(allocate(std::min(rows_max, kTileTokens), width_max));
  }
}

void ActivationStore::pack_rows(const Activations& out, const PackSource& source, float* normed,
                                uint32_t begin, uint32_t end) const {
  if (source.norm == nullptr) {
    kernels::pack_activations(isa_, out, source.x, source.stride, begin, end);
  } else if (out.kind == ActivationKind::kInt8) {
    kernels::rms_norm_pack(isa_, out, source.x, source.stride, source.norm, source.epsilon, begin,
                           end);
  } else {
    for (uint32_t t = begin; t < end; ++t) {
      kernels::rms_norm(isa_, source.x + t * source.stride, source.norm, source.epsilon,
                        source.width, normed + size_t{t} * source.width);
    }
    kernels::pack_activations(isa_, out, normed, source.width, begin, end);
  }
}

ActivationSet ActivationStore::pack(Team& team, const NativeProjection& projection,
                                    const PackSource& source) {
  const bool is_private = source.row_count <= kTileTokens;
  Memory& memory = is_private ? private_[team.index()] : shared_;
  auto* normed = memory.normed.as<float>();
  ActivationSet set;
  std::array<bool, ActivationSet::kKinds> is_packed = {};
  for (const NativeMatrix& matrix : projection.matrices) {
    const size_t kind = ActivationSet::index_of(matrix);
    if (is_packed[kind]) continue;
    is_packed[kind] = true;
    set.kinds_[kind] = {static_cast<ActivationKind>(kind), source.row_count, source.width,
                        memory.kinds[kind].get()};
    if (is_private) {
      pack_rows(set.kinds_[kind], source, normed, 0, source.row_count);
      continue;
    }
    // Whole tiles: threads do not write to one cache line.
    const uint32_t tiles = (source.row_count + kTileTokens - 1) / kTileTokens;
    const auto [begin, end] = team.share(tiles);
    pack_rows(set.kinds_[kind], source, normed, begin * kTileTokens,
              std::min(source.row_count, end * kTileTokens));
  }
  if (!is_private) team.meet();
  return set;
}

}  // namespace pie::exec
