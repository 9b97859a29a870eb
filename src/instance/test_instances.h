#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "host/program_host.h"
#include "instance/instance_listener.h"
#include "instance/managed_instance.h"
#include "instance/program_source.h"

namespace pie::instance::test {

class NamedProgram final : public host::Program {
 public:
  const std::string& hash() const override { return hash_; }
  BlobRef source() const override { return nullptr; }
  bool serves_http() const override { return false; }

 private:
  std::string hash_ = std::string(64, 'a');
};

/// Has every program, at once, but the one that is called "none".
class EveryProgram final : public ProgramSource {
 public:
  void open(Asker asker, store::ProgramReference reference, Done done) override {
    askers.push_back(std::move(asker));
    if (reference.text == "none") return done(Error{ErrorCode::kNotFound, "Program not found"});
    if (waits) return waiting.push_back(std::move(done));
    done(LaunchableProgram{std::make_shared<NamedProgram>(), reference.text});
  }
  bool waits = false;  ///< opens nothing
  std::vector<Asker> askers;
  std::vector<Done> waiting;
};

/// A program whose every move the test makes.
class Puppet final : public host::RunningInstance {
 public:
  Puppet(const host::LaunchSpec& spec, std::function<Result<void>()> begin)
      : ports(spec.ports),
        children(spec.ports->children()),
        quotas(spec.quotas),
        begin_(std::move(begin)) {}
  Result<void> start() override {
    PIE_TRY(begin_());
    is_started_ = true;
    if (termination_) finish(std::move(*termination_));
    return {};
  }
  Result<void> post_message(std::string text) override {
    messages.push_back(std::move(text));
    return {};
  }
  Result<void> post_blob(BlobRef) override { return {}; }
  uint64_t mailbox_bytes() const override { return mailbox; }
  void terminate(End end) override {
    if (is_started_) return finish(std::move(end));
    if (!termination_) termination_ = std::move(end);
  }
  std::vector<host::ModelUse> use_by_model() const override { return {{3, {}}}; }
  uint64_t memory_bytes() const override { return 0; }
  void finish(End end) {
    const auto once = std::exchange(ports, nullptr);
    if (!once) return;
    const auto tell = [once, end = std::move(end)] { once->on_end(end); };
    const auto launched = std::exchange(children, nullptr);
    launched ? launched->close(tell) : tell();
  }

  std::shared_ptr<host::InstancePorts> ports;
  std::shared_ptr<Children> children;
  UserQuotasRef quotas;
  std::vector<std::string> messages;
  uint64_t mailbox = 0;

 private:
  const std::function<Result<void>()> begin_;
  bool is_started_ = false;
  std::optional<End> termination_;
};

class PuppetHost final : public host::ProgramHost {
 public:
  Result<std::shared_ptr<const host::Program>> compile(std::span<const uint8_t>,
                                                       const std::string&) override {
    return std::shared_ptr<const host::Program>(std::make_shared<NamedProgram>());
  }
  Result<std::shared_ptr<const host::Program>> with_source(
      const std::shared_ptr<const host::Program>& runtime, BlobRef, std::string) override {
    return runtime;
  }
  Result<std::shared_ptr<host::RunningInstance>> prepare(host::LaunchSpec spec) override {
    shared = spec.quotas;
    auto puppet = std::make_shared<Puppet>(spec, [this, id = spec.public_id]() -> Result<void> {
      if (on_start) on_start(id);
      if (refuse) return Error{ErrorCode::kResourceExhausted, "full"};
      return {};
    });
    puppets[spec.public_id] = puppet;
    return std::shared_ptr<host::RunningInstance>(puppet);
  }
  /// Its instances and their programs hold each other until an end; here there is none.
  void let_go() {
    for (const auto& [id, puppet] : puppets) {
      puppet->ports = nullptr;
      puppet->children = nullptr;
    }
    puppets.clear();
  }
  bool refuse = false;
  std::function<void(const std::string& id)> on_start;
  UserQuotasRef shared;  ///< of the latest launch
  std::map<std::string, std::shared_ptr<Puppet>> puppets;
};

class Listener final : public InstanceListener {
 public:
  explicit Listener(Peer peer = Peer::kAnswers) : peer_(peer) {}
  void events_ready(const std::shared_ptr<ManagedInstance>&) override {}
  void probe(std::function<void(Peer)> done) override { done(peer_); }
  void taken_over(const std::string& id) override { lost.push_back(id); }
  std::vector<std::string> lost;

 private:
  const Peer peer_;
};

}  // namespace pie::instance::test
