#include "host/context_note.h"

#include "base/log.h"

namespace pie::host {

void ContextNote::look(uint64_t length, const ModelService& service) {
  const uint32_t trained = service.info().context_length;
  if (length <= trained || is_said_.exchange(true)) return;
  log::warning("instance {}: a context of {} tokens is longer than the {} that {} was trained for",
               public_id_, length, trained, service.info().id);
}

}  // namespace pie::host
