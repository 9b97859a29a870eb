#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "engine/command.h"
#include "engine/embedding_store.h"
#include "engine/engine.h"
#include "engine/resource_type.h"
#include "engine/throughput.h"
#include "exec/executor.h"
#include "kv/page_map.h"
#include "sched/scheduler.h"

namespace pie::engine {

class DiskThread;
class LocalEngine;
class SnapshotStore;
class SnapshotWriter;

/// What has changed for the callers' side since the last report.
struct LoopReport {
  std::vector<kv::SlotId> unpinned_pages;  ///< by commands that are done
  std::vector<kv::SlotId> unpinned_embeddings;
  std::vector<kv::SlotId> dead_pages;
  std::vector<kv::SlotId> dead_embeddings;
  std::vector<std::pair<InstanceId, uint32_t>> kv_pages_held;  ///< whose count has changed
  std::vector<sched::PrefixHit> hits;
  EngineStats stats;
};

/// Where snapshots are written to and read from; null and empty where none are kept.
struct SnapshotPlaces {
  SnapshotStore* store = nullptr;
  SnapshotWriter* writer = nullptr;
  std::string layout;                       ///< the executor's, of pages
  std::map<uint32_t, uint32_t> open_files;  ///< number -> pages that somebody refers to
  uint32_t last_file = 0;
};

/// Everything that the engine thread alone touches. Commands act on it.
struct LoopState {
  LoopState(LocalEngine& callers, exec::Executor& computes, DiskThread* moves,
            const kv::PageMapConfig& pages_of, const sched::SchedulerConfig& schedule_of,
            uint32_t embedding_size)
      : engine(callers),
        executor(computes),
        disk(moves),
        pages(pages_of),
        scheduler(schedule_of, pages),
        embeddings(embedding_size) {}

  /// Keeps a command until it ends, and begins it.
  void begin(std::unique_ptr<Command> command);
  /// Its turn has come.
  void complete(sched::CommandId id);
  void cancel(sched::CommandId id, Cancelled why);
  /// Takes a command out that ends.
  std::unique_ptr<Command> end(sched::CommandId id);
  /// The instance's commands, queues and slots go.
  void close_instance(InstanceId instance, const std::vector<kv::SlotId>& page_slots,
                      const std::vector<kv::SlotId>& embedding_slots);
  /// Holders (an instance, a name) let go of slots: they go with the last command that names them.
  void release(ResourceType type, const std::vector<kv::SlotId>& slots);
  /// A command that ends names the slots no longer.
  void unpin(ResourceType type, const std::vector<kv::SlotId>& slots);
  /// Tells the callers' side what has changed.
  void publish();

  LocalEngine& engine;
  exec::Executor& executor;
  DiskThread* const disk;  ///< null where nothing goes to the disk
  kv::PageMap pages;
  sched::Scheduler scheduler;
  EmbeddingStore embeddings;
  SnapshotPlaces snapshots;
  std::unordered_map<sched::CommandId, std::unique_ptr<Command>> pending;
  LoopReport report;
  Throughput throughput;

 private:
  void close_files();
};

}  // namespace pie::engine
