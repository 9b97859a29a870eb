#include "engine/export_table.h"

#include <fmt/format.h>

#include "base/user_name.h"

namespace pie::engine {
namespace {

constexpr uint64_t kNamesPerUserMax = 4096;
/// What they stand for together; several names may share pages.
constexpr uint64_t kSlotsPerUserMax = 1 << 20;

}  // namespace

Result<void> ExportTable::check_free(std::string_view call, const Key& key) const {
  if (!exports_.contains(key)) return {};
  return Error{ErrorCode::kAlreadyExists,
               fmt::format("[{}] got the name '{}', expected one that is not exported: release it "
                           "first",
                           call, key.name.substr(0, 80))};
}

Result<void> ExportTable::admit(std::string_view call, const Key& key, size_t count) const {
  const auto known = use_.find(key.user);
  const Use use = known == use_.end() ? Use{} : known->second;
  if (use.names < kNamesPerUserMax && use.slots + count <= kSlotsPerUserMax) return {};
  return Error{ErrorCode::kResourceExhausted,
               fmt::format("[{}] got {} more on top of {} under {} names, expected at most {} "
                           "under {} of one user: release some",
                           call, count, use.slots, use.names, kSlotsPerUserMax, kNamesPerUserMax)};
}

const ExportTable::Export& ExportTable::add(const Key& key, Export made) {
  Use& use = use_[key.user];
  ++use.names;
  use.slots += made.size();
  counts_[static_cast<size_t>(key.type)] += static_cast<uint32_t>(made.size());
  made.number = ++last_number_;
  return exports_.emplace(key, std::move(made)).first->second;
}

const ExportTable::Export* ExportTable::find(const Key& key) const {
  auto found = exports_.find(key);
  if (found == exports_.end())
    found = exports_.find({std::string(kInternalUser), key.type, key.name});
  return found == exports_.end() ? nullptr : &found->second;
}

std::optional<ExportTable::Export> ExportTable::remove(const Key& key) {
  auto removed = exports_.extract(key);
  if (removed.empty()) return std::nullopt;
  const size_t size = removed.mapped().size();
  counts_[static_cast<size_t>(key.type)] -= static_cast<uint32_t>(size);
  const auto use = use_.find(key.user);
  use->second.slots -= size;
  if (--use->second.names == 0) use_.erase(use);
  return std::move(removed.mapped());
}

std::vector<ExportedName> ExportTable::list(const std::string& user, ResourceType type) const {
  std::map<std::string, uint32_t> counts;
  for (const std::string& owner : {user, std::string(kInternalUser)}) {
    for (auto at = exports_.lower_bound({owner, type, ""});
         at != exports_.end() && at->first.user == owner && at->first.type == type; ++at)
      counts.try_emplace(at->first.name, static_cast<uint32_t>(at->second.size()));
  }
  std::vector<ExportedName> names;
  for (const auto& [name, count] : counts) names.push_back({name, count});
  return names;
}

}  // namespace pie::engine
