#include <system_error>
#include <utility>

#include "base/file.h"
#include "store/database.h"
#include "store/disk_reserve.h"
#include "store/file_key_values.h"
#include "store/file_programs.h"
#include "store/file_records.h"
#include "store/store.h"

namespace pie::store {
namespace {

namespace fs = std::filesystem;

class FileStore final : public Store {
 public:
  FileStore(std::unique_ptr<Database> database, std::unique_ptr<Database> kvs_database,
            const StoreConfig& config, Ledger& ledger)
      : database_(std::move(database)),
        reserve_(config.home, config.disk_reserve_bytes),
        programs_(*database_, config.home / "programs", config.registry_roots, reserve_),
        key_values_(std::move(kvs_database), ledger, config.kvs_user_bytes_max),
        records_(*database_, config.home / "instances", reserve_) {}
  ~FileStore() override { stop(); }

  Programs& programs() override { return programs_; }
  KeyValues& key_values() override { return key_values_; }
  InstanceRecords& instances() override { return records_; }
  void stop() final {
    programs_.stop();
    key_values_.stop();
    records_.stop();
  }

 private:
  const std::unique_ptr<Database> database_;
  const DiskReserve reserve_;
  FilePrograms programs_;
  FileKeyValues key_values_;
  FileRecords records_;
};

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const StoreConfig& config, Ledger& ledger) {
  const fs::path& home = config.home;
  for (const char* folder : {"programs", "instances"}) {
    std::error_code failed;
    fs::create_directories(home / folder, failed);
    if (failed)
      return Error{ErrorCode::kPermissionDenied, "[store] got " + failed.message() +
                                                     " for the folder " + (home / folder).string() +
                                                     ", expected one that can be written"};
  }
  PIE_TRY(sync_folder(home));
  PIE_TRY_ASSIGN(auto database, Database::open(home / "pie.db"));
  PIE_TRY_ASSIGN(auto kvs_database, Database::open(home / "pie.db"));
  PIE_TRY(sync_folder(home));
  return std::unique_ptr<Store>(
      std::make_unique<FileStore>(std::move(database), std::move(kvs_database), config, ledger));
}

}  // namespace pie::store
