#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace pie {

/// An integer that means one thing. `Tag` keeps ids of different things apart.
template <class Tag, class Integer>
struct StrongId {
  Integer value = 0;
  constexpr StrongId() = default;
  constexpr explicit StrongId(Integer v) : value(v) {}
  constexpr auto operator<=>(const StrongId&) const = default;
};

/// One instance of a program in this process; grows with every launch, so a smaller one is older.
using InstanceId = StrongId<struct InstanceIdTag, uint64_t>;
/// A command queue of an engine (`queue` of the ABI); grows with every queue that is made.
using QueueId = StrongId<struct QueueIdTag, uint64_t>;
/// A physical page of the KV pool.
using KvPageId = StrongId<struct KvPageIdTag, uint32_t>;
/// A virtual page number that a program holds (`pointer` of the ABI, resource type 0).
using VirtualPage = StrongId<struct VirtualPageTag, uint32_t>;
/// A token of a model's vocabulary. Plain: tensors and files hold it by the thousand.
using TokenId = uint32_t;

}  // namespace pie

template <class Tag, class Integer>
struct std::hash<pie::StrongId<Tag, Integer>> {
  size_t operator()(pie::StrongId<Tag, Integer> id) const noexcept {
    return std::hash<Integer>{}(id.value);
  }
};
