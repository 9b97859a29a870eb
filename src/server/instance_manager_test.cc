#include "server/instance_manager.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/utf8.h"
#include "protocol/codec.h"
#include "server/event_messages.h"

namespace pie::server {
namespace {

namespace fs = std::filesystem;

class NamedProgram final : public host::Program {
 public:
  const std::string& hash() const override { return hash_; }
  bool serves_http() const override { return false; }

 private:
  std::string hash_ = std::string(64, 'a');
};

/// A program whose every move the test makes.
class Puppet final : public host::RunningInstance {
 public:
  explicit Puppet(std::shared_ptr<host::InstancePorts> program_ports)
      : ports(std::move(program_ports)) {}
  Result<void> post_message(std::string text) override {
    messages.push_back(std::move(text));
    return {};
  }
  Result<void> post_blob(BlobRef) override { return {}; }
  uint64_t mailbox_bytes() const override { return mailbox; }
  void terminate(host::End end) override { finish(std::move(end)); }
  std::vector<host::ModelUse> use_by_model() const override { return {{3, {}}}; }
  uint64_t memory_bytes() const override { return 0; }
  void finish(host::End end) {
    if (const auto once = std::exchange(ports, nullptr)) once->on_end(std::move(end));
  }

  std::shared_ptr<host::InstancePorts> ports;
  std::vector<std::string> messages;
  uint64_t mailbox = 0;
};

class PuppetHost final : public host::ProgramHost {
 public:
  Result<std::shared_ptr<const host::Program>> compile(std::span<const uint8_t>,
                                                       const std::string&) override {
    return std::shared_ptr<const host::Program>(std::make_shared<NamedProgram>());
  }
  Result<std::shared_ptr<host::RunningInstance>> launch(host::LaunchSpec spec) override {
    if (on_launch) on_launch(spec.public_id);
    if (refuse) return Error{ErrorCode::kResourceExhausted, "full"};
    shared = spec.quotas;
    auto puppet = std::make_shared<Puppet>(spec.ports);
    puppets[spec.public_id] = puppet;
    return std::shared_ptr<host::RunningInstance>(puppet);
  }
  bool refuse = false;
  std::function<void(const std::string& id)> on_launch;
  UserQuotasRef shared;  ///< of the latest launch
  std::map<std::string, std::shared_ptr<Puppet>> puppets;
};

class Listener final : public EventSink {
 public:
  explicit Listener(bool answers = true) : answers_(answers) {}
  void events_ready(const std::shared_ptr<ManagedInstance>&) override {}
  void probe(std::function<void(bool)> done) override { done(answers_); }
  void taken_over(const std::string& id) override { lost.push_back(id); }
  std::vector<std::string> lost;

 private:
  bool answers_;
};

class InstanceManagerTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    home_ = fs::path(testing::TempDir()) / ("pie_manager_" + std::string(test->name()));
    fs::remove_all(home_);
    limits_.grace_s = 600;
    restart();
  }
  void TearDown() override {
    kill();
    fs::remove_all(home_);
  }
  /// What a kill -9 leaves: no end, no farewell.
  void kill() {
    if (disk_) disk_->stop(WorkQueue::Rest::kFinish);
    if (work_) work_->stop(WorkQueue::Rest::kFinish);
    work_.reset();
    manager_.reset();
    store_.reset();
    disk_.reset();
  }
  void restart() {
    kill();
    store_ = std::move(store::Store::open(home_)).value();
    disk_ = std::make_unique<WorkQueue>(WorkQueue::Config{.name = "disk"});
    work_ = std::make_unique<WorkQueue>(WorkQueue::Config{.name = "bookkeeping"});
    // Instances that a test still holds belong to the ledger of before.
    ledgers_.push_back(std::make_unique<Ledger>(limits_.user, limits_.total, clock_.wall_ns()));
    manager_ =
        std::make_unique<InstanceManager>(limits_, *ledgers_.back(), host_, store_->instances(),
                                          *disk_, *work_, reserve_, threads_, clock_);
    ASSERT_TRUE(manager_->recover().ok());
  }
  std::shared_ptr<ManagedInstance> launch(const std::string& user, instance::LaunchMode mode) {
    clock_.advance_ns(1'000);
    auto launched =
        manager_->launch({user, {std::make_shared<NamedProgram>(), "std/p@1.0.0"}, {"a"}, mode});
    EXPECT_TRUE(launched.ok());
    return *launched;
  }
  std::shared_ptr<ManagedInstance> launch_detached(const std::string& user = "u") {
    return launch(user, instance::LaunchMode::kDetached);
  }
  Result<std::shared_ptr<ManagedInstance>> attach(const std::string& user, const std::string& id,
                                                  std::shared_ptr<EventSink> sink) {
    std::optional<Result<std::shared_ptr<ManagedInstance>>> result;
    manager_->attach(user, id, std::move(sink), [&](auto one) { result = std::move(one); });
    return *result;
  }
  Result<void> terminate(const std::string& user, const std::string& id) {
    auto promise = std::make_shared<std::promise<Result<void>>>();
    auto future = promise->get_future();
    manager_->terminate(user, id, [promise](Result<void> done) { promise->set_value(done); });
    return future.get();
  }
  /// Waits until the end has gone through the bookkeeping.
  void await_end(const std::shared_ptr<ManagedInstance>& instance) {
    std::promise<void> ended;
    instance->when_ended([&] { ended.set_value(); });
    ended.get_future().wait();
    settle();
  }
  /// Waits until all that was begun is on the disk and in the books.
  void settle() {
    while (disk_->pending() + work_->pending() > 0) std::this_thread::yield();
  }
  static std::vector<std::string> said(ManagedInstance& instance) {
    std::vector<std::string> texts;
    uint64_t seq = 0;
    while (const auto event = instance.log().read(seq)) {
      texts.push_back(*event->payload);
      seq = event->seq;
    }
    return texts;
  }

  fs::path home_;
  ServerLimits limits_;
  std::vector<std::unique_ptr<Ledger>> ledgers_;
  FakeClock clock_;
  PuppetHost host_;
  std::unique_ptr<store::Store> store_;
  const DiskReserve reserve_{testing::TempDir(), 1};
  std::unique_ptr<WorkQueue> disk_, work_;
  net::IoThreads threads_{1};
  std::unique_ptr<InstanceManager> manager_;
};

TEST_F(InstanceManagerTest, lists_own_instances_newest_first_and_all_for_internal) {
  const auto first = launch_detached();
  const auto second = launch("u", instance::LaunchMode::kAttached);
  const auto other = launch_detached("other");
  const auto rows = manager_->list("u");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].id, second->id());
  EXPECT_EQ(rows[0].status, "Attached");
  EXPECT_EQ(rows[1].status, "Detached");
  EXPECT_EQ(rows[1].kv_pages_used, 3u);
  EXPECT_EQ(rows[1].arguments, (std::vector<std::string>{"a"}));
  EXPECT_EQ(manager_->list("internal").size(), 3u);
}

TEST_F(InstanceManagerTest, somebody_elses_instance_answers_as_if_it_did_not_exist) {
  const auto theirs = launch_detached("other");
  EXPECT_EQ(attach("u", theirs->id(), std::make_shared<Listener>()).error().message,
            "Instance not found");
  EXPECT_EQ(terminate("u", theirs->id()).error().message, "Instance not found");
  EXPECT_EQ(manager_->signal("u", theirs->id(), "m").error().message, "Instance not found");
  EXPECT_EQ(manager_->send_blob("u", theirs->id(), make_memory_blob({})).error().message,
            "Instance not found");
  EXPECT_TRUE(manager_->signal("internal", theirs->id(), "m").ok());
}

TEST_F(InstanceManagerTest, malformed_ids_are_named_with_the_fixed_texts) {
  EXPECT_EQ(attach("u", "x", nullptr).error().message, "Invalid instance_id");
  EXPECT_EQ(terminate("u", "x").error().message, "Malformed instance ID");
  EXPECT_EQ(manager_->signal("u", "../x", "m").error().message, "Invalid instance_id");
  EXPECT_TRUE(is_instance_id(make_instance_id()));
  EXPECT_NE(make_instance_id(), make_instance_id());
}

TEST_F(InstanceManagerTest, attached_elsewhere_is_refused_alive_and_taken_over_dead) {
  const auto instance = launch_detached();
  const auto alive = std::make_shared<Listener>();
  ASSERT_TRUE(attach("u", instance->id(), alive).ok());
  EXPECT_EQ(attach("u", instance->id(), alive).error().message, "Instance already attached");
  EXPECT_EQ(attach("u", instance->id(), std::make_shared<Listener>()).error().message,
            "Instance already attached");
  const auto silent_instance = launch_detached();
  const auto silent = std::make_shared<Listener>(false);
  ASSERT_TRUE(attach("u", silent_instance->id(), silent).ok());
  const auto successor = std::make_shared<Listener>();
  ASSERT_TRUE(attach("u", silent_instance->id(), successor).ok());
  EXPECT_EQ(silent->lost, (std::vector<std::string>{silent_instance->id()}));
  silent_instance->client_lost(silent.get(), 0);  // comes late: the successor keeps it
  EXPECT_EQ(silent_instance->status(), instance::Status::kAttached);
}

TEST_F(InstanceManagerTest, terminate_answers_after_the_end_and_the_second_one_forgets_it) {
  const auto instance = launch_detached();
  EXPECT_TRUE(terminate("u", instance->id()).ok());
  EXPECT_EQ(instance->status(), instance::Status::kFinished);
  EXPECT_EQ(said(*instance), (std::vector<std::string>{"Signal termination"}));
  EXPECT_TRUE(terminate("u", instance->id()).ok());
  EXPECT_TRUE(manager_->list("u").empty());
  EXPECT_EQ(terminate("u", instance->id()).error().message, "Instance not found");
}

TEST_F(InstanceManagerTest, a_finished_one_goes_only_when_its_end_was_delivered) {
  const auto instance = launch_detached();
  host_.puppets[instance->id()]->ports->send_message("m");
  host_.puppets[instance->id()]->finish({host::EndKind::kCompleted, "result"});
  await_end(instance);
  instance->log().delivered(1);
  manager_->delivered(instance);
  EXPECT_EQ(manager_->list("u").at(0).status, "Finished");
  instance->log().delivered(2);
  manager_->delivered(instance);
  EXPECT_TRUE(manager_->list("u").empty());
}

TEST_F(InstanceManagerTest, an_end_under_way_is_not_listed_and_comes_back_when_the_client_dies) {
  const auto instance = launch("u", instance::LaunchMode::kAttached);
  const auto listener = std::make_shared<Listener>();
  ASSERT_EQ(instance->attach(listener), nullptr);
  host_.puppets[instance->id()]->finish({host::EndKind::kCompleted, ""});
  await_end(instance);
  instance->set_end_sent();
  EXPECT_TRUE(manager_->list("u").empty());
  instance->client_lost(listener.get(), clock_.wall_ns());
  EXPECT_EQ(manager_->list("u").at(0).status, "Finished");
}

TEST_F(InstanceManagerTest, kill_9_loses_nothing_and_ends_what_ran) {
  const auto running = launch_detached();
  host_.puppets[running->id()]->ports->write_stdout("said before");
  settle();
  const auto finished = launch_detached();
  host_.puppets[finished->id()]->finish({host::EndKind::kCompleted, "the result"});
  await_end(finished);
  restart();
  settle();
  const auto again = attach("u", running->id(), std::make_shared<Listener>());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(said(**again), (std::vector<std::string>{"said before", "server restarted"}));
  EXPECT_EQ((*again)->log().read(1)->end, instance::EndCode::kServerError);
  const auto kept = attach("u", finished->id(), std::make_shared<Listener>());
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(said(**kept), (std::vector<std::string>{"the result"}));
  restart();  // and again, without anybody having fetched them
  EXPECT_EQ(manager_->list("u").size(), 2u);
}

TEST_F(InstanceManagerTest, an_attached_launch_is_aborted_after_its_grace_time) {
  const auto instance = launch("u", instance::LaunchMode::kAttached);
  const auto listener = std::make_shared<Listener>();
  instance->attach(listener);
  instance->client_lost(listener.get(), clock_.wall_ns());
  clock_.advance_ns(599'000'000'000);
  manager_->sweep();
  EXPECT_EQ(instance->status(), instance::Status::kDetached);
  clock_.advance_ns(2'000'000'000);
  manager_->sweep();
  await_end(instance);
  EXPECT_EQ(instance->log().read(0)->end, instance::EndCode::kAborted);
  clock_.advance_ns(25ULL * 3600 * 1'000'000'000);
  manager_->sweep();
  EXPECT_TRUE(manager_->list("u").empty());
}

TEST_F(InstanceManagerTest, the_users_quota_counts_what_runs) {
  limits_.user.instances_max = 1;
  restart();
  const auto one = launch_detached();
  const auto refused = manager_->launch({"u", {std::make_shared<NamedProgram>(), "p"}, {}, {}});
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("expected fewer than 1"), std::string::npos);
  EXPECT_TRUE(terminate("u", one->id()).ok());
  launch_detached();
  launch_detached("other");
}

TEST_F(InstanceManagerTest, one_whose_end_was_sent_is_gone_unless_its_client_is_lost) {
  const auto instance = launch("u", instance::LaunchMode::kDetached);
  const auto listener = std::make_shared<Listener>();
  ASSERT_TRUE(attach("u", instance->id(), listener).ok());
  host_.puppets[instance->id()]->finish({host::EndKind::kCompleted, ""});
  await_end(instance);
  instance->set_end_sent();  // and no pong has come yet
  EXPECT_TRUE(manager_->list("u").empty());
  EXPECT_EQ(terminate("u", instance->id()).error().message, "Instance not found");
  instance->client_lost(listener.get(), clock_.wall_ns());
  EXPECT_EQ(manager_->list("u").size(), 1U);
  EXPECT_TRUE(terminate("u", instance->id()).ok());
  EXPECT_TRUE(manager_->list("u").empty());
}

TEST_F(InstanceManagerTest, a_refused_launch_leaves_no_trace) {
  host_.refuse = true;
  const auto refused = manager_->launch({"u", {std::make_shared<NamedProgram>(), "p"}, {}, {}});
  EXPECT_EQ(refused.error().message, "full");
  EXPECT_TRUE(manager_->list("u").empty());
  host_.refuse = false;
  restart();
  EXPECT_TRUE(manager_->list("u").empty());
}

TEST_F(InstanceManagerTest, who_waits_for_the_end_of_a_refused_launch_hears_of_it) {
  host_.refuse = true;
  std::future<Result<void>> terminated;
  host_.on_launch = [&](const std::string& id) {
    auto promise = std::make_shared<std::promise<Result<void>>>();
    terminated = promise->get_future();
    manager_->terminate("u", id, [promise](Result<void> done) { promise->set_value(done); });
  };
  EXPECT_FALSE(manager_->launch({"u", {std::make_shared<NamedProgram>(), "p"}, {}, {}}).ok());
  ASSERT_EQ(terminated.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  EXPECT_TRUE(terminated.get().ok());
  // So does a server that stops meanwhile, and nothing is launched after that.
  std::future<void> stopped;
  host_.on_launch = [&](const std::string&) {
    stopped = std::async(std::launch::async, [&] { manager_->stop(); });
  };
  EXPECT_FALSE(manager_->launch({"u", {std::make_shared<NamedProgram>(), "p"}, {}, {}}).ok());
  ASSERT_EQ(stopped.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  host_.refuse = false;
  EXPECT_EQ(manager_->launch({"u", {std::make_shared<NamedProgram>(), "p"}, {}, {}}).error().code,
            ErrorCode::kUnavailable);
  EXPECT_EQ(manager_->running_count(), 0U);
}

TEST_F(InstanceManagerTest, what_is_kept_of_instances_counts_as_stored_until_they_are_forgotten) {
  limits_.user.log_bytes_max = 1 << 20;
  restart();
  const auto keep = [&](size_t bytes) {
    return manager_->launch({"u",
                             {std::make_shared<NamedProgram>(), "p"},
                             {std::string(bytes, 'x')},
                             instance::LaunchMode::kDetached});
  };
  const std::string first = (*keep(600'000))->id();
  const auto refused = keep(600'000);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("stored logs of the user"), std::string::npos);
  host_.puppets.clear();
  restart();  // finished by the restart, and still kept
  EXPECT_FALSE(keep(600'000).ok());
  EXPECT_TRUE(terminate("u", first).ok());
  EXPECT_TRUE(keep(600'000).ok());
}

TEST_F(InstanceManagerTest, what_the_memory_holds_of_instances_is_bounded_for_each_user) {
  limits_.user.host_bytes_max = 100'000;
  restart();
  const auto launch_one = [&](const std::string& user) {
    return manager_->launch({user,
                             {std::make_shared<NamedProgram>(), "p"},
                             {std::string(40'000, 'x')},
                             instance::LaunchMode::kDetached});
  };
  const auto first = launch_one("u"), second = launch_one("u");
  ASSERT_TRUE(second.ok());
  const auto refused = launch_one("u");
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("server's memory holds for the user"), std::string::npos);
  EXPECT_TRUE(launch_one("other").ok());
  EXPECT_EQ(manager_->list("u").size(), 2u);
  restart();
  EXPECT_EQ(manager_->list("u").size(), 2u);
}

TEST_F(InstanceManagerTest, hourly_quotas_begin_anew_at_the_hour_and_the_others_do_not) {
  constexpr uint64_t kHourNs = 3'600'000'000'000;
  limits_.user.cpu_s_per_hour_max = 10;
  limits_.user.output_bytes_per_hour_max = 100;
  limits_.user.kv_pages_max = 5;
  restart();
  const auto instance = launch_detached();
  const UserQuotasRef quotas = host_.shared;
  ASSERT_TRUE(quotas);
  const auto use_up = [&] {
    EXPECT_TRUE(quotas->cpu.take(10'000'000'000));
    EXPECT_TRUE(quotas->output.take(100));
  };
  use_up();
  EXPECT_TRUE(quotas->kv_pages.take(5));
  EXPECT_FALSE(quotas->output.take(1));
  clock_.advance_ns(kHourNs - clock_.wall_ns() % kHourNs - 1);
  manager_->sweep();
  EXPECT_FALSE(quotas->cpu.take(1));  // the last nanosecond of the hour
  EXPECT_FALSE(quotas->output.take(1));
  clock_.advance_ns(1);
  manager_->sweep();
  use_up();
  EXPECT_FALSE(quotas->kv_pages.take(1));
  manager_->sweep();
  EXPECT_FALSE(quotas->output.take(1));  // once in an hour
  clock_.advance_ns(5 * kHourNs);
  manager_->sweep();
  use_up();
  launch_detached();
  EXPECT_EQ(host_.shared, quotas);  // who has instances keeps the same ones
  launch_detached("other");
  EXPECT_NE(host_.shared, quotas);
}

TEST_F(InstanceManagerTest, a_list_has_every_row_and_fits_into_one_answer) {
  const auto keep = [&](std::vector<std::string> arguments) {
    clock_.advance_ns(1'000);
    return *manager_->launch({"u",
                              {std::make_shared<NamedProgram>(), "p"},
                              std::move(arguments),
                              instance::LaunchMode::kDetached});
  };
  keep({std::string(14U << 20, 'x'), "after"});
  keep({"short", std::string(100'000, 'y'), "\xE2\x82\xAC"});
  keep(std::vector<std::string>(200'000, ""));
  const auto rows = manager_->list("u");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_LT(encode(protocol::LiveInstances{1, rows}).size(), 300'000u);
  EXPECT_LT(rows[0].arguments.size(), 20'000u);
  EXPECT_EQ(rows[1].arguments[0], "short");
  EXPECT_NE(rows[1].arguments[1].find("bytes more)"), std::string::npos);
  EXPECT_NE(rows[2].arguments[0].find("\u2026"), std::string::npos);
  const auto small = keep({"\xE2\x82\xAC", "two"});
  EXPECT_EQ(manager_->list("u").front().arguments, small->record().arguments);
}

TEST_F(InstanceManagerTest, an_end_of_any_length_is_shortened_to_what_fits_a_frame) {
  const auto instance = launch_detached();
  std::string text(65U << 20, 'x');
  text.replace((16U << 20) - 1, 3, "\xE2\x82\xAC");  // a character on the edge stays whole or goes
  host_.puppets[instance->id()]->finish({host::EndKind::kException, std::move(text)});
  await_end(instance);
  const std::string told = said(*instance).at(0);
  EXPECT_LT(told.size(), (16U << 20) + 100);
  EXPECT_TRUE(is_utf8(told));
  EXPECT_NE(told.find("bytes more)"), std::string::npos);
}

TEST_F(InstanceManagerTest, messages_over_the_mailbox_limit_are_refused) {
  const auto instance = launch_detached();
  EXPECT_TRUE(manager_->signal("u", instance->id(), "m").ok());
  EXPECT_EQ(host_.puppets[instance->id()]->messages, (std::vector<std::string>{"m"}));
  host_.puppets[instance->id()]->mailbox = limits_.instance.mailbox_bytes_max;
  EXPECT_EQ(manager_->signal("u", instance->id(), "m").error().code, ErrorCode::kResourceExhausted);
}

TEST_F(InstanceManagerTest, stop_ends_what_runs_with_a_reason_that_the_next_start_tells) {
  const auto instance = launch_detached();
  manager_->stop();
  EXPECT_FALSE(manager_->launch({"u", {std::make_shared<NamedProgram>(), "p"}, {}, {}}).ok());
  restart();
  const auto found = attach("u", instance->id(), std::make_shared<Listener>());
  EXPECT_EQ(said(**found), (std::vector<std::string>{"server stopped"}));
}

TEST(EventMessages, long_texts_are_cut_into_frames_or_shortened) {
  const auto event = [](instance::EventKind kind, std::string text) {
    return instance::Event{1, kind, {}, std::make_shared<std::string>(std::move(text))};
  };
  std::string output;
  while (output.size() < 3U << 20) output += "\xE2\x82\xAC";
  std::string joined;
  for (const auto& one : event_messages("i", event(instance::EventKind::kStdout, output))) {
    const auto& text = std::get<protocol::StreamingOutput>(one).text;
    EXPECT_LE(text.size(), 1U << 20);
    EXPECT_TRUE(is_utf8(text));
    joined += text;
  }
  EXPECT_EQ(joined, output);
  const std::string longest(16U << 20, 'm');
  for (const size_t more : {0U, 1U, 1U << 20}) {
    const auto one = event(instance::EventKind::kEnd, longest + std::string(more, 'm'));
    const auto messages = event_messages("i", one);
    ASSERT_EQ(messages.size(), 1u);
    const auto& text = std::get<protocol::InstanceEvent>(messages[0]).message;
    EXPECT_EQ(text.size() > longest.size(), more > 0);
    EXPECT_LT(text.size(), longest.size() + 100);
  }
}

TEST(EventMessages, a_blob_becomes_chunks_and_an_empty_one_a_single_empty_chunk) {
  instance::Event event{1, instance::EventKind::kBlob, {}, std::make_shared<std::string>()};
  auto messages = event_messages("i", event);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(std::get<protocol::DownloadBlob>(messages[0]).chunk.total, 1u);
  event.payload = std::make_shared<std::string>(262'145, 'x');
  messages = event_messages("i", event);
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(std::get<protocol::DownloadBlob>(messages[1]).chunk.data.size(), 1u);
}

}  // namespace
}  // namespace pie::server
