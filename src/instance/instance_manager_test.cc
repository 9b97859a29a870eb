#include "instance/instance_manager.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "base/test_clock.h"
#include "instance/arguments.h"
#include "instance/instance_id.h"
#include "instance/test_instances.h"
#include "instance/test_storage.h"
#include "store/store.h"

namespace pie::instance {
namespace {

using test::Listener;

namespace fs = std::filesystem;

class InstanceManagerTest : public testing::Test {
 protected:
  using InstanceRef = std::shared_ptr<ManagedInstance>;

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
  /// What a kill -9 leaves: no end, no last word.
  void kill() {
    if (store_) store_->stop();
    manager_.reset();
    store_.reset();
    host_.let_go();
  }
  void restart() {
    kill();
    // Instances that a test still holds belong to the ledger of before.
    ledgers_.push_back(std::make_unique<Ledger>(limits_.user, limits_.total, clock_.wall_ns()));
    store_ = std::move(store::Store::open({.home = home_, .disk_reserve_bytes = disk_reserve_},
                                          *ledgers_.back()))
                 .value();
    manager_ = std::make_unique<InstanceManager>(
        limits_, InstanceServices{*ledgers_.back(), host_, store_->instances(), threads_, clock_,
                                  programs_});
    ASSERT_TRUE(manager_->recover().ok());
  }

  /// What an asynchronous call answers.
  template <class T>
  static Result<T> answer_of(const std::function<void(std::function<void(Result<T>)>)>& ask) {
    const auto promise = std::make_shared<std::promise<Result<T>>>();
    ask([promise](Result<T> answer) { promise->set_value(std::move(answer)); });
    return promise->get_future().get();
  }
  Result<InstanceRef> launch(host::LaunchSpec spec) {
    clock_.advance_ns(1'000);
    spec.program = std::make_shared<test::NamedProgram>();
    spec.display_name = "std/p@1.0.0";
    return answer_of<InstanceRef>(
        [&](auto done) { manager_->launch(std::move(spec), std::move(done)); });
  }
  InstanceRef launch(const std::string& user, LaunchMode mode) {
    auto launched = launch({.user = user, .arguments = {"a"}, .mode = mode});
    EXPECT_TRUE(launched.ok());
    return *launched;
  }
  InstanceRef launch_detached(const std::string& user = "u") {
    return launch(user, LaunchMode::kDetached);
  }
  Result<InstanceRef> attach(const std::string& user, const std::string& id,
                             std::shared_ptr<InstanceListener> listener) {
    return answer_of<InstanceRef>(
        [&](auto done) { manager_->attach(user, id, std::move(listener), std::move(done)); });
  }
  Result<void> terminate(const std::string& user, const std::string& id) {
    return answer_of<void>([&](auto done) { manager_->terminate(user, id, std::move(done)); });
  }
  static void await_end(const InstanceRef& instance) {
    std::promise<void> ended;
    instance->when_ended([&] { ended.set_value(); });
    ended.get_future().wait();
  }
  static std::vector<std::string> said(ManagedInstance& instance) {
    return test::texts_after(instance.log(), 0);
  }

  fs::path home_;
  ServerLimits limits_;
  uint64_t disk_reserve_ = 1;
  std::vector<std::unique_ptr<Ledger>> ledgers_;
  FakeClock clock_;
  test::PuppetHost host_;
  test::EveryProgram programs_;
  std::unique_ptr<store::Store> store_;
  net::IoThreads threads_{1};
  std::unique_ptr<InstanceManager> manager_;
};

TEST_F(InstanceManagerTest, lists_own_instances_newest_first_and_all_for_internal) {
  const auto first = launch_detached();
  const auto second = launch("u", LaunchMode::kAttached);
  const auto other = launch_detached("other");
  EXPECT_EQ(manager_->list("u"), (std::vector<InstanceRef>{second, first}));
  EXPECT_EQ(second->status(), Status::kAttached);
  EXPECT_EQ(first->status(), Status::kDetached);
  EXPECT_EQ(first->running()->kv_pages_used(), 3u);
  EXPECT_EQ(first->record().arguments, (std::vector<std::string>{"a"}));
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
  const auto silent = std::make_shared<Listener>(Listener::Peer::kSilent);
  ASSERT_TRUE(attach("u", silent_instance->id(), silent).ok());
  const auto successor = std::make_shared<Listener>();
  ASSERT_TRUE(attach("u", silent_instance->id(), successor).ok());
  EXPECT_EQ(silent->lost, (std::vector<std::string>{silent_instance->id()}));
  silent_instance->client_lost(silent.get());  // comes late: the successor keeps it
  EXPECT_EQ(silent_instance->status(), Status::kAttached);
}

TEST_F(InstanceManagerTest, terminate_answers_after_the_end_and_the_second_one_forgets_it) {
  const auto instance = launch_detached();
  EXPECT_TRUE(terminate("u", instance->id()).ok());
  EXPECT_EQ(instance->status(), Status::kFinished);
  EXPECT_EQ(said(*instance), (std::vector<std::string>{"Signal termination"}));
  EXPECT_TRUE(terminate("u", instance->id()).ok());
  EXPECT_TRUE(manager_->list("u").empty());
  EXPECT_EQ(terminate("u", instance->id()).error().message, "Instance not found");
}

TEST_F(InstanceManagerTest, a_finished_one_goes_only_when_its_end_was_delivered) {
  const auto instance = launch_detached();
  host_.puppets[instance->id()]->ports->send_message("m");
  host_.puppets[instance->id()]->finish({EndKind::kCompleted, "result"});
  await_end(instance);
  instance->log().delivered(1);
  manager_->delivered(instance);
  EXPECT_EQ(manager_->list("u").at(0)->status(), Status::kFinished);
  instance->log().delivered(2);
  manager_->delivered(instance);
  EXPECT_TRUE(manager_->list("u").empty());
}

TEST_F(InstanceManagerTest, an_end_under_way_is_not_listed_and_comes_back_when_the_client_dies) {
  const auto instance = launch("u", LaunchMode::kAttached);
  const auto listener = std::make_shared<Listener>();
  ASSERT_EQ(instance->attach(listener), nullptr);
  host_.puppets[instance->id()]->finish({EndKind::kCompleted, ""});
  await_end(instance);
  instance->set_end_sent();
  EXPECT_TRUE(manager_->list("u").empty());
  instance->client_lost(listener.get());
  EXPECT_EQ(manager_->list("u").at(0)->status(), Status::kFinished);
}

TEST_F(InstanceManagerTest, kill_9_loses_nothing_and_ends_what_ran) {
  const auto running = launch_detached();
  host_.puppets[running->id()]->ports->write_stdout("said before");
  const auto finished = launch_detached();
  host_.puppets[finished->id()]->finish({EndKind::kCompleted, "the result"});
  await_end(finished);
  restart();
  const auto again = attach("u", running->id(), std::make_shared<Listener>());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(said(**again), (std::vector<std::string>{"said before", "server restarted"}));
  EXPECT_EQ(test::event_after((*again)->log(), 1)->end, EndKind::kServerError);
  const auto kept = attach("u", finished->id(), std::make_shared<Listener>());
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(said(**kept), (std::vector<std::string>{"the result"}));
  restart();  // and again, without anybody having fetched them
  EXPECT_EQ(manager_->list("u").size(), 2u);
}

TEST_F(InstanceManagerTest, an_attached_launch_is_aborted_after_its_grace_time) {
  const auto instance = launch("u", LaunchMode::kAttached);
  const auto listener = std::make_shared<Listener>();
  instance->attach(listener);
  instance->client_lost(listener.get());
  clock_.advance_ns(599'000'000'000);
  manager_->sweep();
  EXPECT_EQ(instance->status(), Status::kDetached);
  clock_.advance_ns(2'000'000'000);
  manager_->sweep();
  await_end(instance);
  EXPECT_EQ(test::event_after(instance->log(), 0)->end, EndKind::kAborted);
  clock_.advance_ns(25ULL * 3600 * 1'000'000'000);
  manager_->sweep();
  EXPECT_TRUE(manager_->list("u").empty());
}

TEST_F(InstanceManagerTest, the_users_quota_counts_what_runs) {
  limits_.user.instances_max = 1;
  restart();
  const auto one = launch_detached();
  const auto refused = launch({.user = "u"});
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("expected fewer than 1"), std::string::npos);
  EXPECT_TRUE(terminate("u", one->id()).ok());
  launch_detached();
  launch_detached("other");
}

TEST_F(InstanceManagerTest, one_whose_end_was_sent_is_gone_unless_its_client_is_lost) {
  const auto instance = launch("u", LaunchMode::kDetached);
  const auto listener = std::make_shared<Listener>();
  ASSERT_TRUE(attach("u", instance->id(), listener).ok());
  host_.puppets[instance->id()]->finish({EndKind::kCompleted, ""});
  await_end(instance);
  instance->set_end_sent();  // and no pong has come yet
  EXPECT_TRUE(manager_->list("u").empty());
  EXPECT_EQ(terminate("u", instance->id()).error().message, "Instance not found");
  instance->client_lost(listener.get());
  EXPECT_EQ(manager_->list("u").size(), 1U);
  EXPECT_TRUE(terminate("u", instance->id()).ok());
  EXPECT_TRUE(manager_->list("u").empty());
}

TEST_F(InstanceManagerTest, a_refused_launch_leaves_no_trace) {
  host_.refuse = true;
  const auto refused = launch({.user = "u"});
  EXPECT_EQ(refused.error().message, "full");
  EXPECT_TRUE(manager_->list("u").empty());
  host_.refuse = false;
  restart();
  EXPECT_TRUE(manager_->list("u").empty());
}

TEST_F(InstanceManagerTest, who_waits_for_the_end_of_a_refused_launch_hears_of_it) {
  host_.refuse = true;
  std::future<Result<void>> terminated;
  host_.on_start = [&](const std::string& id) {
    auto promise = std::make_shared<std::promise<Result<void>>>();
    terminated = promise->get_future();
    manager_->terminate("u", id, [promise](Result<void> done) { promise->set_value(done); });
  };
  EXPECT_FALSE(launch({.user = "u"}).ok());
  ASSERT_EQ(terminated.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  EXPECT_TRUE(terminated.get().ok());
  // So does a server that stops meanwhile, and nothing is launched after that.
  std::future<void> stopped;
  host_.on_start = [&](const std::string&) {
    stopped = std::async(std::launch::async, [&] { manager_->stop(); });
  };
  EXPECT_FALSE(launch({.user = "u"}).ok());
  ASSERT_EQ(stopped.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  host_.refuse = false;
  EXPECT_EQ(launch({.user = "u"}).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(manager_->running_count(), 0U);
}

TEST_F(InstanceManagerTest, one_that_is_terminated_before_its_start_ends_all_the_same) {
  std::future<Result<void>> terminated;
  host_.on_start = [&](const std::string& id) {
    auto promise = std::make_shared<std::promise<Result<void>>>();
    terminated = promise->get_future();
    manager_->terminate("u", id, [promise](Result<void> done) { promise->set_value(done); });
  };
  const auto launched = launch({.user = "u"});
  ASSERT_TRUE(launched.ok());
  EXPECT_TRUE(terminated.get().ok());
  EXPECT_EQ(said(**launched), (std::vector<std::string>{"Signal termination"}));
  EXPECT_EQ(manager_->running_count(), 0U);
}

TEST_F(InstanceManagerTest, what_is_kept_of_instances_counts_as_stored_until_they_are_forgotten) {
  limits_.user.log_bytes_max = 1 << 20;
  restart();
  const auto keep = [&](size_t bytes) {
    return launch(
        {.user = "u", .arguments = {std::string(bytes, 'x')}, .mode = LaunchMode::kDetached});
  };
  const std::string first = (*keep(600'000))->id();
  const auto refused = keep(600'000);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("stored logs of the user"), std::string::npos);
  host_.let_go();
  restart();  // finished by the restart, and still kept
  EXPECT_FALSE(keep(600'000).ok());
  EXPECT_TRUE(terminate("u", first).ok());
  EXPECT_TRUE(keep(600'000).ok());
}

TEST_F(InstanceManagerTest, what_the_memory_holds_of_instances_is_bounded_for_each_user) {
  limits_.user.host_bytes_max = 100'000;
  restart();
  const auto launch_one = [&](const std::string& user) {
    return launch(
        {.user = user, .arguments = {std::string(40'000, 'x')}, .mode = LaunchMode::kDetached});
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
  EXPECT_EQ(host_.shared->user, quotas->user);  // who has instances keeps the same ones
  launch_detached("other");
  EXPECT_NE(host_.shared->user, quotas->user);
}

TEST_F(InstanceManagerTest, what_lists_say_of_arguments_is_bounded) {
  const auto keep = [&](std::vector<std::string> arguments) {
    return (*launch({.user = "u", .arguments = std::move(arguments)}))->record().arguments;
  };
  EXPECT_LT(arguments_bytes(keep({std::string(14U << 20, 'x'), "after"})), 100'000U);
  const auto shortened = keep({"short", std::string(100'000, 'y'), "\xE2\x82\xAC"});
  EXPECT_EQ(shortened[0], "short");
  EXPECT_NE(shortened[1].find("bytes more)"), std::string::npos);
  EXPECT_LT(keep(std::vector<std::string>(200'000, "")).size(), 20'000u);
  const std::vector<std::string> small = {"\xE2\x82\xAC", "two"};
  EXPECT_EQ(keep(small), small);
}

TEST_F(InstanceManagerTest, one_whose_record_cannot_be_kept_is_refused_and_leaves_no_trace) {
  disk_reserve_ = UINT64_MAX / 2;
  restart();
  const auto refused = launch({.user = "u"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(manager_->list("u").empty());
  EXPECT_EQ(manager_->running_count(), 0U);
}

TEST_F(InstanceManagerTest, the_tail_of_a_log_is_told_to_who_may_see_the_instance) {
  const auto instance = launch_detached();
  host_.puppets[instance->id()]->finish({EndKind::kCompleted, "result"});
  await_end(instance);
  const auto tail_for = [&](const std::string& user, const std::string& record) {
    return answer_of<std::string>(
        [&](auto done) { manager_->log_tail(user, record, std::move(done)); });
  };
  EXPECT_EQ(*tail_for("u", instance->id() + " text"), "Completed: result\n");
  EXPECT_EQ(tail_for("other", instance->id()).error().message, "Instance not found");
  EXPECT_EQ(tail_for("u", "x").error().message, "Invalid instance_id");
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
  EXPECT_FALSE(launch({.user = "u"}).ok());
  restart();
  const auto found = attach("u", instance->id(), std::make_shared<Listener>());
  EXPECT_EQ(said(**found), (std::vector<std::string>{"server stopped"}));
}

}  // namespace
}  // namespace pie::instance
