#pragma once
#include <string>

#include "base/ledger.h"
#include "base/work_queue.h"
#include "instance/program_source.h"
#include "server/program_library.h"

namespace pie::server {

/// Programs for children, which no session asks for: the library's, compiled on the queue on which
/// sessions have theirs compiled. Thread-safe.
class ChildPrograms final : public instance::ProgramSource {
 public:
  /// Both outlive it, or are stopped before.
  ChildPrograms(ProgramLibrary& library, WorkQueue& compile)
      : library_(library), compile_(compile) {}

  void open(Asker asker, store::ProgramReference reference, Done done) override;

 private:
  void compile_later(const Asker& asker, uint64_t bytes, std::function<void()> job,
                     const CompiledPrograms::Refuse& refuse);

  ProgramLibrary& library_;
  WorkQueue& compile_;
};

}  // namespace pie::server
