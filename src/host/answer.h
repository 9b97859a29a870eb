#pragma once
#include <optional>
#include <utility>

#include "base/result.h"
#include "host/guest_errors.h"
#include "wasm/readiness.h"

namespace pie::host {

/// What a port answers later, from any thread; ready when it has.
template <class T>
class Answer final : public wasm::Readiness {
 public:
  /// Once.
  void set(Result<T> result) {
    result_.emplace(std::move(result));
    fire();
  }
  /// Once ready(): the value, or throws as throw_error does.
  T take() { return value_or_throw(take_result()); }
  Result<T> take_result() { return std::move(*result_); }

 private:
  std::optional<Result<T>> result_;  ///< written before fire(), read after ready()
};

}  // namespace pie::host
