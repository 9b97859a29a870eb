#include "server/compiled_programs.h"

#include <algorithm>
#include <utility>

#include "base/archive.h"
#include "base/guarded.h"
#include "crypto/blake3.h"

namespace pie::server {
namespace {

/// What a small program takes in memory all the same.
constexpr uint64_t kReadyBytesMin = 256 << 10;
/// Of memory while a program is read and compiled, for each of its bytes, at least.
constexpr uint64_t kMemoryPerByte = 2;

}  // namespace

/// The first one's turn to have a program compiled; it leaves the line with this, unless taken.
class CompiledPrograms::Turn {
 public:
  Turn(CompiledPrograms& programs, std::string hash)
      : programs_(programs), hash_(std::move(hash)) {}
  ~Turn() {
    if (!is_taken_) programs_.leave(hash_, nullptr);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  const std::string& hash() const { return hash_; }
  void take() { is_taken_ = true; }
  void refuse(const Error& reason) {
    if (!std::exchange(is_taken_, true)) programs_.leave(hash_, &reason);
  }

 private:
  CompiledPrograms& programs_;
  const std::string hash_;
  bool is_taken_ = false;
};

void CompiledPrograms::get(const std::string& hash, Request request) {
  std::unique_lock lock(mutex_);
  if (Program ready = find_ready_locked(hash)) {
    lock.unlock();
    return request.done(std::move(ready));
  }
  Line& line = compiling_[hash];
  line.requests.push_back(std::move(request));
  const bool is_first = line.requests.size() == 1;
  lock.unlock();
  if (is_first) begin(hash);
}

/// Once at a time for a line: who leaves it from within has the next one begin here.
void CompiledPrograms::begin(const std::string& hash) {
  for (;;) {
    Request first;
    {
      const std::lock_guard lock(mutex_);
      const auto found = compiling_.find(hash);
      if (found == compiling_.end()) return;
      Line& line = found->second;
      if (line.is_beginning) {
        line.begins_again = true;
        return;
      }
      if (line.requests.empty()) {
        compiling_.erase(found);
        return;
      }
      line.is_beginning = true;
      first = line.requests.front();
    }
    begin_first(hash, first);
    const std::lock_guard lock(mutex_);
    const auto found = compiling_.find(hash);
    if (found == compiling_.end()) return;
    found->second.is_beginning = false;
    if (!std::exchange(found->second.begins_again, false)) return;
  }
}

void CompiledPrograms::begin_first(const std::string& hash, const Request& first) {
  auto turn = std::make_shared<Turn>(*this, hash);
  if (first.wasm) return compile_later(turn, first.post, first.wasm);
  stored_.wasm(first.user, hash, [this, turn, post = first.post](Result<BlobRef> wasm) {
    if (wasm.ok()) return compile_later(turn, post, std::move(wasm).value());
    // A line that is too long is the user's own; what is not there is there for nobody.
    if (wasm.error().code == ErrorCode::kResourceExhausted) return turn->refuse(wasm.error());
    turn->take();
    finish(turn->hash(), wasm.error(), 0);
  });
}

void CompiledPrograms::compile_later(const TurnRef& turn, const Post& post, BlobRef wasm) {
  const uint64_t bytes = kMemoryPerByte * wasm->size();
  post(
      bytes, [this, turn, post, wasm = std::move(wasm)] { make(turn, post, wasm); },
      [turn](std::string reason) {
        turn->refuse({ErrorCode::kResourceExhausted, std::move(reason)});
      });
}

void CompiledPrograms::make(const TurnRef& turn, const Post& post, const BlobRef& file) {
  const Result<bool> archive = is_archive(*file);
  if (archive.ok() && *archive) return make_of_archive(turn, post, file);
  turn->take();
  finish(turn->hash(), guarded("compile", [&] { return compile(turn->hash(), *file); }),
         file->size());
}

void CompiledPrograms::make_of_archive(const TurnRef& turn, const Post& post, const BlobRef& file) {
  const auto fail = [this, &turn](Error reason) {
    turn->take();
    finish(turn->hash(), std::move(reason), 0);
  };
  if (file->size() > kArchiveBytesMax)
    return fail({ErrorCode::kInvalidArgument,
                 "[program] got a Python program of " + std::to_string(file->size()) +
                     " bytes, expected at most " + std::to_string(kArchiveBytesMax)});
  Result<std::string> bytes = read(turn->hash(), *file);
  if (!bytes.ok()) return fail(std::move(bytes).error());
  Result<ProgramRuntime::Component> runtime = runtime_.component();
  if (!runtime.ok()) return fail(std::move(runtime).error());
  // In memory: programs read it on threads that may not wait for a disk.
  const BlobRef source = make_memory_blob({bytes->begin(), bytes->end()});
  get(runtime->hash,
      {.user = {},
       .post = post,
       .done =
           [this, turn, source](const Result<Program>& ready) {
             if (!ready.ok() && ready.error().code == ErrorCode::kResourceExhausted)
               return turn->refuse(ready.error());
             turn->take();
             finish(turn->hash(),
                    ready.ok() ? host_.with_source(*ready, source, turn->hash()) : ready,
                    source->size());
           },
       .wasm = runtime->wasm});
}

Result<std::string> CompiledPrograms::read(const std::string& hash, const Blob& file) {
  PIE_TRY_ASSIGN(std::string bytes, read_all(file));
  if (crypto::blake3_hex(bytes) == hash) return bytes;
  return Error{ErrorCode::kNotFound, "Program not found"};  // the file was replaced
}

Result<CompiledPrograms::Program> CompiledPrograms::compile(const std::string& hash,
                                                            const Blob& wasm) {
  PIE_TRY_ASSIGN(const std::string bytes, read(hash, wasm));
  return host_.compile({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, hash);
}

void CompiledPrograms::finish(const std::string& hash, const Result<Program>& result,
                              uint64_t wasm_bytes) {
  std::deque<Request> requests;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = compiling_.find(hash); found != compiling_.end()) {
      requests.swap(found->second.requests);
      compiling_.erase(found);
    }
    if (result.ok()) keep_ready_locked(hash, *result, wasm_bytes);
  }
  for (const Request& one : requests) one.done(result);
}

void CompiledPrograms::leave(const std::string& hash, const Error* reason) {
  Request left;
  {
    const std::lock_guard lock(mutex_);
    const auto found = compiling_.find(hash);
    if (found == compiling_.end() || found->second.requests.empty()) return;
    left = std::move(found->second.requests.front());
    found->second.requests.pop_front();
  }
  if (reason) left.done(*reason);
  begin(hash);
}

CompiledPrograms::Program CompiledPrograms::find_ready_locked(const std::string& hash) {
  const auto found = ready_.find(hash);
  if (found == ready_.end()) return nullptr;
  found->second.used = ++uses_;
  return found->second.program;
}

void CompiledPrograms::keep_ready_locked(const std::string& hash, Program program,
                                         uint64_t wasm_bytes) {
  const Ready fresh{std::move(program), std::max(wasm_bytes, kReadyBytesMin), ++uses_};
  let_go_locked(hash);
  ready_bytes_ += fresh.charged_bytes;
  ready_[hash] = fresh;
  while (ready_.size() > 1 && (ready_bytes_ > memory_bytes_max_ || ready_.size() > programs_max_)) {
    const auto oldest = std::min_element(ready_.begin(), ready_.end(), [](auto& a, auto& b) {
      return a.second.used < b.second.used;
    });
    let_go_locked(std::string(oldest->first));
  }
}

void CompiledPrograms::let_go(const std::string& hash) {
  const std::lock_guard lock(mutex_);
  let_go_locked(hash);
}

void CompiledPrograms::let_go_locked(const std::string& hash) {
  const auto found = ready_.find(hash);
  if (found == ready_.end()) return;
  ready_bytes_ -= found->second.charged_bytes;
  ready_.erase(found);
}

}  // namespace pie::server
