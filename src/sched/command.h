#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/strong_id.h"
#include "kv/page_map.h"
#include "kv/pointer_table.h"

namespace pie::sched {

/// A command in a queue, as the engine names it.
using CommandId = StrongId<struct CommandIdTag, uint64_t>;

/// What the scheduler needs to know of a forward pass.
struct PassShape {
  uint32_t token_count = 0;         ///< at least 1
  uint32_t context_len = 0;         ///< tokens before this pass
  std::vector<kv::SlotId> pages;    ///< the whole sequence; empty = no cache, never split
  bool after_earlier_only = false;  ///< reads or writes something besides pages, so it never shares
                                    ///< a step with another pass of its queue
  kv::PassContent content;          ///< what it writes, where that may be shared
  uint32_t must_compute = 0;        ///< the first token that something is asked of; `token_count`
                                    ///< when nothing is
};

/// Tokens [first_token, first_token + token_count) of a pass, to be computed in one step.
struct PassChunk {
  CommandId pass;
  QueueId queue;
  InstanceId instance;
  uint32_t first_token = 0;
  uint32_t token_count = 0;
  uint32_t context_len = 0;         ///< slots before this chunk
  bool last = false;                ///< the pass is complete after it
  std::span<const KvPageId> pages;  ///< pages 0 ... of the sequence, as far as the chunk reaches;
                                    ///< valid until the step is finished
};

/// Slots that come to refer to what others do (export, import): to[i] to what from[i] does.
struct ShareShape {
  InstanceId owner;  ///< of `to`; kv::kExports for an export
  std::vector<kv::SlotId> from, to;
  uint64_t makes = 0;  ///< number of the export that this is; 0 for an import
  uint64_t needs = 0;  ///< number of the export that must have been made before; 0: none
};

/// Tokens of a pass that need not be computed.
struct PrefixHit {
  InstanceId instance;
  uint32_t token_count = 0;
};

/// What a step holds: passes as short as decodes, longer ones, or both. A step of long ones right
/// after decodes counts as both: those who decode are about to come back.
enum class StepKind : uint8_t { kDecodes, kLong, kMixed };

/// What one turn of the step loop has to do.
struct Plan {
  std::vector<CommandId> completed;  ///< commands that have taken effect without computation
  kv::Bindings bindings;             ///< to be carried out before the step
  std::vector<PassChunk> chunks;     ///< the step; at most one chunk of a pass
  StepKind kind = StepKind::kDecodes;
  std::vector<PrefixHit> hits;  ///< passes that found computed pages
  std::vector<CommandId> lost;  ///< passes that ended because the disk lost pages of theirs
  bool waiting = false;         ///< there is no step because all that could run wait for pages
  bool stuck = false;  ///< passes wait for pages and every instance that holds any waits as well:
                       ///< only what make_room() finds can free enough
};

/// What make_room() found.
struct Room {
  std::vector<kv::PageStore> stores;  ///< to be begun
  uint32_t freed = 0;                 ///< pages that are free now
};

}  // namespace pie::sched
