#pragma once
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/blob.h"
#include "base/result.h"
#include "host/program_host.h"
#include "server/program_runtime.h"
#include "store/programs.h"

namespace pie::server {

/// Compiled programs, by hash. Each is compiled once, however many ask at the same time: the first
/// of them has it done, and where that one is refused, or gone, the next. Those used longest ago
/// are let go (their compiled form stays on the disk). Thread-safe; nothing here blocks.
class CompiledPrograms {
 public:
  using Program = std::shared_ptr<const host::Program>;
  using Refuse = std::function<void(std::string reason)>;
  /// Has `job` done, which reads a program and compiles it and takes so many bytes of memory, on
  /// behalf of who asks; or says why not. Drops both when nobody waits for it any more.
  using Post = std::function<void(uint64_t bytes, std::function<void()> job, Refuse refuse)>;

  struct Request {
    std::string user;
    Post post;
    /// Once, from any thread; never, when `post` drops its job.
    std::function<void(Result<Program>)> done;
    BlobRef wasm;  ///< the file; null: as stored
  };

  struct Config {
    uint64_t memory_bytes_max = 0;         ///< of files whose compiled form is kept, together
    size_t programs_max = SIZE_MAX;        ///< that are kept: each has its compiled file open
    std::filesystem::path python_runtime;  ///< the component that runs archives
  };
  /// The others outlive it.
  CompiledPrograms(store::Programs& stored, host::ProgramHost& host, Config config)
      : stored_(stored),
        host_(host),
        memory_bytes_max_(config.memory_bytes_max),
        programs_max_(config.programs_max),
        runtime_(std::move(config.python_runtime)) {}

  void get(const std::string& hash, Request request);
  /// Whoever asks next compiles it anew.
  void let_go(const std::string& hash);

 private:
  struct Ready {
    Program program;
    uint64_t charged_bytes = 0;
    uint64_t used = 0;  ///< the greater, the later
  };
  /// Who waits for one program; the first of them has it compiled.
  struct Line {
    std::deque<Request> requests;
    bool is_beginning = false, begins_again = false;
  };
  class Turn;
  using TurnRef = std::shared_ptr<Turn>;

  void begin(const std::string& hash);
  void begin_first(const std::string& hash, const Request& first);
  void compile_later(const TurnRef& turn, const Post& post, BlobRef wasm);
  /// kNotFound, when the bytes are not those of the hash any more.
  static Result<std::string> read(const std::string& hash, const Blob& file);
  Result<Program> compile(const std::string& hash, const Blob& wasm);
  /// A component is compiled in this job; an archive waits for its runtime, whose line may be long.
  void make(const TurnRef& turn, const Post& post, const BlobRef& file);
  void make_of_archive(const TurnRef& turn, const Post& post, const BlobRef& file);
  void finish(const std::string& hash, const Result<Program>& result, uint64_t wasm_bytes);
  /// The first one leaves the line, and hears why when there is a reason.
  void leave(const std::string& hash, const Error* reason);
  Program find_ready_locked(const std::string& hash);
  void keep_ready_locked(const std::string& hash, Program program, uint64_t wasm_bytes);
  void let_go_locked(const std::string& hash);

  store::Programs& stored_;
  host::ProgramHost& host_;
  const uint64_t memory_bytes_max_;
  const size_t programs_max_;
  ProgramRuntime runtime_;
  std::mutex mutex_;
  std::map<std::string, Ready> ready_;
  uint64_t ready_bytes_ = 0;
  uint64_t uses_ = 0;
  std::map<std::string, Line> compiling_;
};

}  // namespace pie::server
