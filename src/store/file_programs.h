#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/work_queue.h"
#include "store/disk_reserve.h"
#include "store/program_files.h"
#include "store/program_resolver.h"
#include "store/programs.h"
#include "store/registry.h"

namespace pie::store {

/// Programs in the files and the database of one PIE_HOME, and in the registry's folders.
class FilePrograms final : public Programs {
 public:
  FilePrograms(Database& database, std::filesystem::path folder,
               std::vector<std::filesystem::path> registry_roots, const DiskReserve& reserve)
      : files_(database, std::move(folder)),
        registry_(std::move(registry_roots)),
        reserve_(reserve) {}

  void put(ProgramUpload upload, Done<void> done) override;
  void check_room(ProgramUpload upload, Done<void> done) override;
  void find(const std::string& user, ProgramReference reference, Done<FoundProgram> done) override;
  void exists(const std::string& user, std::string record, Done<bool> done) override;
  void wasm(const std::string& user, std::string hash, Done<BlobRef> done) override;

  /// What waits is dropped: nobody is there to hear of it.
  void stop() { queue_.stop(WorkQueue::Rest::kDrop); }

 private:
  ProgramFiles files_;
  Registry registry_;
  ProgramResolver resolver_{files_, registry_};
  const DiskReserve& reserve_;
  /// Two threads: the registry's first look at a hash reads all of its files.
  WorkQueue queue_{{.name = "programs", .thread_count = 2, .owner_pending_max = 8'192}};
};

}  // namespace pie::store
