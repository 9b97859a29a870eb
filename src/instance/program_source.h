#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/ledger.h"
#include "base/result.h"
#include "host/launch_spec.h"
#include "store/programs.h"

namespace pie::instance {

/// A program ready to launch.
struct LaunchableProgram {
  std::shared_ptr<const host::Program> program;
  std::string display_name;  ///< "ns/name@version", or the hash
};

/// Where the programs of children come from. Thread-safe; nothing here blocks.
class ProgramSource {
 public:
  using Done = std::function<void(Result<LaunchableProgram>)>;

  virtual ~ProgramSource() = default;
  /// Who asks for a program.
  struct Asker {
    std::string user;
    UserQuotasRef quotas;             ///< may be null
    std::weak_ptr<const void> alive;  ///< nothing is compiled for it once it has expired
  };
  /// Looks a program up and has it compiled, in the user's turn and charged to the quotas. `done`
  /// comes once, from any thread, or never when the server stops or the asker is gone. kNotFound
  /// "Program not found"; kFailedPrecondition names a missing dependency.
  virtual void open(Asker asker, store::ProgramReference reference, Done done) = 0;
};

}  // namespace pie::instance
