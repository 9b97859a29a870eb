#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/resource_type.h"
#include "kv/pointer_table.h"

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
  };

  /// kAlreadyExists for a name in use.
  Result<void> check_free(std::string_view call, const Key& key) const;
  /// Whether the user may export so many under one more name: kResourceExhausted.
  Result<void> admit(std::string_view call, const Key& key, size_t count) const;
  /// An admitted name; what is returned is there until it is removed.
  const Export& add(const Key& key, std::vector<kv::SlotId> slots);
  /// The user's own name, else one that `internal` published; null for none.
  const Export* find(const Key& key) const;
  /// What the user's own name stood for; none when there is no such name.
  std::optional<Export> remove(const Key& key);
  /// What find() finds for the user, by name.
  std::vector<ExportedName> list(const std::string& user, ResourceType type) const;

  /// Slots under all names.
  uint32_t count(ResourceType type) const {
    return type == ResourceType::kKvPage ? page_count_ : embedding_count_;
  }

 private:
  struct Use {
    uint64_t names = 0, slots = 0;
  };
  uint32_t& counter(ResourceType type) {
    return type == ResourceType::kKvPage ? page_count_ : embedding_count_;
  }

  std::map<Key, Export> exports_;
  std::unordered_map<std::string, Use> use_;  ///< by user
  uint32_t page_count_ = 0, embedding_count_ = 0;
  uint64_t last_number_ = 0;
};

}  // namespace pie::engine
