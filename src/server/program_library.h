#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/limits.h"
#include "base/result.h"
#include "instance/program_source.h"
#include "server/compiled_programs.h"
#include "store/programs.h"

namespace pie::server {

using instance::LaunchableProgram;

/// Uploads, and the way from a name or hash to a program that can be launched (protocol.md, section
/// 6). Thread-safe; nothing here blocks. `done` comes once, from any thread, or never when `post`
/// drops its job (compiled_programs.h).
class ProgramLibrary {
 public:
  template <class T>
  using Done = std::function<void(Result<T>)>;

  ProgramLibrary(store::Programs& stored, host::ProgramHost& host, uint64_t user_bytes_max,
                 CompiledPrograms::Config compiled)
      : stored_(stored),
        compiled_(stored, host, std::move(compiled)),
        user_bytes_max_(user_bytes_max) {}

  struct Upload {
    std::string user;
    std::string hash;
    BlobRef wasm;
    std::optional<std::string> manifest;
  };
  /// Compiles it, so that a bad one is refused here, and keeps it for the user. kResourceExhausted,
  /// before it is compiled, when the user has uploaded as much as is allowed or the disk is full.
  void upload(Upload upload, CompiledPrograms::Post post, Done<void> done);
  /// kNotFound "Program not found"; kFailedPrecondition names a missing or cyclic dependency.
  void open(const std::string& user, store::ProgramReference reference, CompiledPrograms::Post post,
            Done<LaunchableProgram> done);

 private:
  void keep(const store::ProgramUpload& upload, const Done<void>& done);

  store::Programs& stored_;
  CompiledPrograms compiled_;
  const uint64_t user_bytes_max_;
};

}  // namespace pie::server
