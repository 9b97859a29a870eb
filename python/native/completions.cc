#include "native/completions.h"

#include <utility>

namespace pie::python {

ErrorInfo error_info(const Error& error) {
  return {std::string(to_string(error.code)), error.message};
}

bool interpreter_is_alive() {
#if PY_VERSION_HEX >= 0x030d0000
  return Py_IsInitialized() && !Py_IsFinalizing();
#else
  return Py_IsInitialized() && !_Py_IsFinalizing();
#endif
}

namespace {

/// Keeps a thread of ours known to the interpreter until it ends. Without it each acquisition of
/// the GIL makes and deletes a thread state, under a lock that CPython leaves taken in the child of
/// a fork of that moment (3.11: the child then hangs inside os.fork).
class KnownThread {
 public:
  KnownThread() : ensured_(PyGILState_Ensure()), state_(PyEval_SaveThread()) {}
  KnownThread(const KnownThread&) = delete;
  KnownThread& operator=(const KnownThread&) = delete;
  ~KnownThread() {
    if (!interpreter_is_alive()) return;
    PyEval_RestoreThread(state_);
    PyGILState_Release(ensured_);
  }

 private:
  PyGILState_STATE ensured_;
  PyThreadState* state_;
};

void make_this_thread_known() {
  // Python's own threads, and those that were here before, are known.
  if (PyGILState_GetThisThreadState() == nullptr) thread_local const KnownThread known;
}

}  // namespace

uint64_t Completions::next_token() {
  const std::lock_guard lock(mutex_);
  return next_token_++;
}

void Completions::push(uint64_t token, Completion::Value value) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({token, std::move(value)});
    if (std::exchange(wake_pending_, true)) return;
  }
  if (!interpreter_is_alive()) return;
  make_this_thread_known();
  const nb::gil_scoped_acquire gil;
  if (!wake_.is_valid()) return;
  const nb::object wake = wake_;
  try {
    wake();
  } catch (nb::python_error& e) {
    // The event loop is closed: nobody waits any more.
    e.discard_as_unraisable("pie: waking the event loop");
  }
}

std::vector<Completion> Completions::take() {
  const std::lock_guard lock(mutex_);
  wake_pending_ = false;
  return std::exchange(queue_, {});
}

void Completions::detach() { wake_.reset(); }

}  // namespace pie::python
