#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/guarded.h"
#include "base/work_queue.h"

namespace pie::store {

/// Has `work`, which waits for a disk, done on the queue, in its owner's turn; what it returns, or
/// why it could not be done, goes to `done`, once.
template <class T>
void ask(WorkQueue& queue, const std::string& owner, const char* what,
         std::function<void(Result<T>)> done, std::function<Result<T>()> work,
         std::shared_ptr<Quota> cpu = nullptr) {
  auto posted = queue.post_once(
      owner, [done, what, work = std::move(work)] { done(guarded(what, work)); }, std::move(cpu));
  if (!posted.ok()) done(std::move(posted).error());
}

}  // namespace pie::store
