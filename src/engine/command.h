#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <variant>

#include "base/error.h"
#include "base/strong_id.h"
#include "sched/command.h"

namespace pie::engine {

struct LoopState;

/// Why a command ends without effect.
enum class Cancelled { kInstanceClosed, kEngineStops };
Error cancelled_error(std::string_view call, Cancelled why);

/// One command of a queue, once the engine's front end has accepted it. Each kind has its check,
/// its beginning and its completion in one file of commands/ or snapshot/. Thread: engine.
class Command {
 public:
  enum class Completion { kDone, kUnderWay };

  virtual ~Command() = default;

  /// Puts it into its queue of the scheduler, or begins what need not wait for its turn.
  virtual void begin(LoopState& loop) = 0;
  /// Its turn has come: everything before it in its queue has taken effect. One that is under way
  /// ends itself by LoopState::end().
  virtual Completion complete(LoopState& loop) = 0;
  virtual void cancel(LoopState& loop, Cancelled why) = 0;

  sched::CommandId id;
  QueueId queue;
  InstanceId instance;
};

/// What the engine thread is told, in the order of the calls: a command, or something to be done
/// between two steps.
using LoopCall = std::function<void(LoopState&)>;
using LoopMessage = std::variant<std::unique_ptr<Command>, LoopCall>;

}  // namespace pie::engine
