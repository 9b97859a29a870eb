#include "instance/launched_children.h"

#include <atomic>
#include <utility>

#include "instance/instance_manager.h"

namespace pie::instance {
namespace {

Error over_error() {
  return {ErrorCode::kCancelled, "[launch] got an instance that has ended, expected one that runs"};
}

/// Forgets one that has ended: nobody is to hear what is left of it.
void forget(InstanceManager& manager, const std::shared_ptr<ManagedInstance>& instance) {
  instance->log().delivered(instance->log().last_seq());
  manager.delivered(instance);
}

/// Its parent, as a child's listener.
class HeardChild final : public InstanceListener {
 public:
  explicit HeardChild(std::function<void()> changed) : changed_(std::move(changed)) {}

  // InstanceListener
  void events_ready(const std::shared_ptr<ManagedInstance>&) override { changed_(); }
  void probe(std::function<void(Peer)> done) override { done(Peer::kAnswers); }
  void taken_over(const std::string&) override {}

 private:
  const std::function<void()> changed_;
};

class HeldChild final : public Child {
 public:
  HeldChild(InstanceManager& manager, std::shared_ptr<HeardChild> listener,
            std::shared_ptr<ManagedInstance> instance)
      : manager_(manager), listener_(std::move(listener)), instance_(std::move(instance)) {}
  /// What it has said and will say is nobody's any more.
  ~HeldChild() override {
    // Until then nobody else may attach to it: the listener stays.
    instance_->when_ended([&manager = manager_, instance = instance_, listener = listener_] {
      forget(manager, instance);
    });
    instance_->terminate({EndKind::kAborted, "its parent let it go"});
  }

  const std::string& id() const override { return instance_->id(); }

  std::optional<ChildEvent> take() override {
    EventLog& log = instance_->log();
    auto event = log.next(log.delivered_seq());
    if (!event) return std::nullopt;
    log.delivered(event->seq);
    if (event->kind == EventKind::kEnd) {
      end_was_taken_ = true;
      instance_->set_end_sent();
      manager_.delivered(instance_);
    }
    return ChildEvent{event->kind, event->end, std::move(event->payload)};
  }

  Result<void> post_message(std::string text) override {
    PIE_TRY_ASSIGN(const auto running, mailbox("send", text.size()));
    return running->post_message(std::move(text));
  }
  Result<void> post_blob(BlobRef blob) override {
    PIE_TRY_ASSIGN(const auto running, mailbox("send-blob", blob->size()));
    return running->post_blob(std::move(blob));
  }
  void cancel() override { instance_->terminate({EndKind::kAborted, "its parent cancelled it"}); }

 private:
  Result<std::shared_ptr<host::RunningInstance>> mailbox(const std::string& what,
                                                         uint64_t bytes) const {
    // The end is told a moment before the mailbox goes.
    if (!end_was_taken_) {
      auto running = manager_.mailbox_of(*instance_, what.c_str(), bytes);
      if (running.ok() || running.error().code != ErrorCode::kNotFound) return running;
    }
    return Error{ErrorCode::kFailedPrecondition,
                 "[" + what + "] got a child that has ended, expected one that runs"};
  }

  InstanceManager& manager_;
  const std::shared_ptr<HeardChild> listener_;
  const std::shared_ptr<ManagedInstance> instance_;
  std::atomic<bool> end_was_taken_ = false;
};

}  // namespace

Result<void> LaunchedChildren::enter() {
  if (parent_.self.generation >= parent_.limits.child_generations_max)
    return Error{ErrorCode::kResourceExhausted,
                 "[launch] got an instance of generation " +
                     std::to_string(parent_.self.generation) + ", expected fewer than " +
                     std::to_string(parent_.limits.child_generations_max)};
  const std::lock_guard lock(mutex_);
  if (is_closed_) return over_error();
  if (count_ >= parent_.limits.children_max)
    return Error{ErrorCode::kResourceExhausted, "[launch] got " + std::to_string(count_) +
                                                    " children that live, expected fewer than " +
                                                    std::to_string(parent_.limits.children_max) +
                                                    "; wait for their ends"};
  ++count_;
  return {};
}

void LaunchedChildren::leave() {
  const std::lock_guard lock(mutex_);
  --count_;
}

std::weak_ptr<const void> LaunchedChildren::alive() {
  const std::lock_guard lock(mutex_);
  return open_;
}

void LaunchedChildren::launch(ChildRequest request, Done done) {
  if (auto entered = enter(); !entered.ok()) return done(std::move(entered).error());
  store::ProgramReference reference{.kind = request.by == ChildRequest::By::kHash
                                                ? store::ProgramReference::Kind::kHash
                                                : store::ProgramReference::Kind::kName,
                                    .text = std::move(request.program)};
  manager_.programs().open(
      {.user = parent_.user, .quotas = parent_.self.quotas, .alive = alive()}, std::move(reference),
      [self = shared_from_this(), request = std::move(request),
       done = std::move(done)](Result<LaunchableProgram> program) mutable {
        auto child = program.ok() ? self->start(std::move(program).value(), std::move(request))
                                  : Result<std::unique_ptr<Child>>(std::move(program).error());
        if (!child.ok()) self->leave();
        done(std::move(child));
      });
}

Result<std::unique_ptr<Child>> LaunchedChildren::start(LaunchableProgram program,
                                                       ChildRequest request) {
  if (!begin_start()) return over_error();
  auto listener = std::make_shared<HeardChild>(std::move(request.changed));
  auto started = manager_.launch_child({.user = parent_.user,
                                        .program = std::move(program.program),
                                        .display_name = std::move(program.display_name),
                                        .arguments = std::move(request.arguments),
                                        .mode = LaunchMode::kAttached},
                                       parent_.self, listener);
  end_start(started.ok() ? *started : nullptr);
  if (!started.ok()) return std::move(started).error();
  return std::unique_ptr<Child>(
      std::make_unique<HeldChild>(manager_, std::move(listener), std::move(started).value()));
}

bool LaunchedChildren::begin_start() {
  const std::lock_guard lock(mutex_);
  if (is_closed_) return false;
  ++starting_;
  return true;
}

void LaunchedChildren::end_start(const InstanceRef& child) {
  bool is_late = false;
  {
    const std::lock_guard lock(mutex_);
    --starting_;
    if (child) live_.insert(child);
    is_late = is_closed_;
  }
  if (child) child->when_ended([self = shared_from_this(), child] { self->ended(child); });
  if (child && is_late) child->terminate({EndKind::kAborted, "its parent has ended"});
  finish_if_closed();
}

void LaunchedChildren::ended(const InstanceRef& child) {
  bool is_heard = false;
  {
    const std::lock_guard lock(mutex_);
    is_heard = !is_closed_;
  }
  if (!is_heard) forget(manager_, child);  // so that it is gone when its parent's end is known
  {
    const std::lock_guard lock(mutex_);
    live_.erase(child);
    --count_;
  }
  finish_if_closed();
}

void LaunchedChildren::finish_if_closed() {
  std::vector<std::function<void()>> closers;
  {
    const std::lock_guard lock(mutex_);
    if (!is_closed_ || starting_ > 0 || !live_.empty()) return;
    closers.swap(closers_);
  }
  for (const auto& one : closers) one();
}

void LaunchedChildren::close(std::function<void()> done) {
  std::set<InstanceRef> live;
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
    open_ = nullptr;
    closers_.push_back(std::move(done));
    live = live_;
  }
  for (const auto& one : live) one->terminate({EndKind::kAborted, "its parent has ended"});
  finish_if_closed();
}

}  // namespace pie::instance
