#include "store/file_programs.h"

#include "store/asked_work.h"

namespace pie::store {

namespace {
constexpr const char* kWhat = "programs";
}  // namespace

void FilePrograms::put(ProgramUpload upload, Done<void> done) {
  const std::string owner = upload.owner;
  ask<void>(queue_, owner, kWhat, std::move(done),
            [this, upload = std::move(upload)] { return files_.put(upload); });
}

void FilePrograms::check_room(ProgramUpload upload, Done<void> done) {
  const std::string owner = upload.owner;
  ask<void>(queue_, owner, kWhat, std::move(done),
            [this, upload = std::move(upload)]() -> Result<void> {
              PIE_TRY(reserve_.check("upload", upload.wasm->size()));
              return files_.check_room(upload);
            });
}

void FilePrograms::find(const std::string& user, ProgramReference reference,
                        Done<FoundProgram> done) {
  ask<FoundProgram>(
      queue_, user, kWhat, std::move(done),
      [this, user, reference = std::move(reference)] { return resolver_.find(user, reference); });
}

void FilePrograms::exists(const std::string& user, std::string record, Done<bool> done) {
  ask<bool>(queue_, user, kWhat, std::move(done),
            [this, user, record = std::move(record)] { return resolver_.exists(user, record); });
}

void FilePrograms::wasm(const std::string& user, std::string hash, Done<BlobRef> done) {
  ask<BlobRef>(queue_, user, kWhat, std::move(done),
               [this, hash = std::move(hash)] { return resolver_.wasm(hash); });
}

}  // namespace pie::store
