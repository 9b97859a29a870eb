#include "sched/step_pages.h"

#include <algorithm>

namespace pie::sched {

bool StepPages::compatible(std::span<const KvPageId> read,
                           std::span<const KvPageId> written) const {
  const auto touched = [&](KvPageId page) {
    return read_[page.value] == step_ || written_[page.value] == step_;
  };
  return std::none_of(read.begin(), read.end(),
                      [&](KvPageId page) { return written_[page.value] == step_; }) &&
         std::none_of(written.begin(), written.end(), touched);
}

void StepPages::add(std::span<const KvPageId> read, std::span<const KvPageId> written) {
  for (const KvPageId page : read) read_[page.value] = step_;
  for (const KvPageId page : written) written_[page.value] = step_;
}

}  // namespace pie::sched
