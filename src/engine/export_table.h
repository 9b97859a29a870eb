#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/resource_type.h"
#include "kv/pointer_table.h"
#include "model/adapter.h"

namespace pie::engine {

/// The names under which users have exported resources, and the slots that each stands for. Guarded
/// by the engine's lock.
class ExportTable {
 public:
  struct Key {
    std::string user;
    ResourceType type = ResourceType::kKvPage;
    std::string name;
    auto operator<=>(const Key&) const = default;
  };
  struct Export {
    uint64_t number = 0;  ///< the how-manieth
    std::vector<kv::SlotId> slots;
    std::vector<model::AdapterRef> adapters;  ///< of a name of the type kAdapter, instead of slots

    size_t size() const { return slots.size() + adapters.size(); }
  };

  /// kAlreadyExists for a name in use.
  Result<void> check_free(std::string_view call, const Key& key) const;
  /// Whether the user may export so many under one more name: kResourceExhausted.
  Result<void> admit(std::string_view call, const Key& key, size_t count) const;
  /// An admitted name; what is returned is there until it is removed.
  const Export& add(const Key& key, std::vector<kv::SlotId> slots) {
    return add(key, {0, std::move(slots), {}});
  }
  const Export& add(const Key& key, std::vector<model::AdapterRef> adapters) {
    return add(key, {0, {}, std::move(adapters)});
  }
  /// The user's own name, else one that `internal` published; null for none.
  const Export* find(const Key& key) const;
  /// What the user's own name stood for; none when there is no such name.
  std::optional<Export> remove(const Key& key);
  /// What find() finds for the user, by name.
  std::vector<ExportedName> list(const std::string& user, ResourceType type) const;

  /// Slots, or adapters, under all names.
  uint32_t count(ResourceType type) const { return counts_[static_cast<size_t>(type)]; }

 private:
  struct Use {
    uint64_t names = 0, slots = 0;
  };
  const Export& add(const Key& key, Export made);

  std::map<Key, Export> exports_;
  std::unordered_map<std::string, Use> use_;  ///< by user
  std::array<uint32_t, 3> counts_{};          ///< by type
  uint64_t last_number_ = 0;
};

}  // namespace pie::engine
