#include "server/program_library.h"

#include <utility>

#include "base/user_name.h"
#include "store/manifest.h"

namespace pie::server {

void ProgramLibrary::upload(Upload upload, CompiledPrograms::Post post, Done<void> done) {
  if (upload.manifest) {
    if (auto parsed = store::parse_manifest(*upload.manifest); !parsed.ok())
      return done(std::move(parsed).error());
  }
  const uint64_t bytes_max = upload.user == kInternalUser ? 0 : user_bytes_max_;
  const store::ProgramUpload stored{std::move(upload.user), std::move(upload.hash),
                                    std::move(upload.wasm), std::move(upload.manifest), bytes_max};
  stored_.check_room(stored, [this, stored, post = std::move(post),
                              done = std::move(done)](const Result<void>& room) mutable {
    if (!room.ok()) return done(room.error());
    compiled_.get(stored.hash, {.user = stored.owner,
                                .post = std::move(post),
                                .done =
                                    [this, stored, done = std::move(done)](const auto& compiled) {
                                      if (!compiled.ok()) return done(compiled.error());
                                      keep(stored, done);
                                    },
                                .wasm = stored.wasm});
  });
}

void ProgramLibrary::keep(const store::ProgramUpload& upload, const Done<void>& done) {
  stored_.put(upload,
              [this, user = upload.owner, hash = upload.hash, done](const Result<void>& kept) {
                if (kept.ok()) return done(kept);
                // What is not stored must not be there for those who know the hash.
                stored_.exists(user, hash, [this, hash, done, kept](const Result<bool>& exists) {
                  if (exists.ok() && !*exists) compiled_.let_go(hash);
                  done(kept);
                });
              });
}

void ProgramLibrary::open(const std::string& user, store::ProgramReference reference,
                          CompiledPrograms::Post post, Done<LaunchableProgram> done) {
  stored_.find(user, std::move(reference),
               [this, user, post = std::move(post),
                done = std::move(done)](Result<store::FoundProgram> found) mutable {
                 if (!found.ok()) return done(std::move(found).error());
                 compiled_.get(found->hash,
                               {.user = user,
                                .post = std::move(post),
                                .done =
                                    [name = found->display_name, done = std::move(done)](
                                        Result<CompiledPrograms::Program> one) {
                                      if (!one.ok()) return done(std::move(one).error());
                                      done(LaunchableProgram{std::move(one).value(), name});
                                    },
                                .wasm = nullptr});
               });
}

}  // namespace pie::server
