#include "instance/launched_children.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/test_clock.h"
#include "instance/instance_manager.h"
#include "instance/test_instances.h"
#include "instance/test_storage.h"
#include "instance/volatile_records.h"

namespace pie::instance {
namespace {

using ChildRef = std::unique_ptr<Child>;

class LaunchedChildrenTest : public testing::Test {
 protected:
  using InstanceRef = std::shared_ptr<ManagedInstance>;

  void TearDown() override { host_.let_go(); }

  InstanceManager& manager() {
    if (!manager_)
      manager_ = std::make_unique<InstanceManager>(
          limits_, InstanceServices{ledger_, host_, records_, threads_, clock_, programs_});
    return *manager_;
  }
  /// An instance that a client launched.
  InstanceRef launch() {
    InstanceRef made;
    manager().launch({.user = "u",
                      .program = std::make_shared<test::NamedProgram>(),
                      .display_name = "std/parent@1.0.0",
                      .mode = LaunchMode::kDetached},
                     [&](Result<InstanceRef> launched) {
                       if (launched.ok()) made = *launched;
                     });
    return made;
  }
  test::Puppet& puppet(const std::string& id) { return *host_.puppets.at(id); }
  Result<ChildRef> launch_child(const std::string& parent, const std::string& program = "std/c") {
    std::optional<Result<ChildRef>> child;
    puppet(parent).children->launch(
        {.program = program, .arguments = {"x"}, .changed = [this] { ++changes_; }},
        [&](Result<ChildRef> launched) { child.emplace(std::move(launched)); });
    if (!child) return Error{ErrorCode::kInternal, "no answer"};
    return std::move(*child);
  }
  static std::string take(Child& child) {
    const auto event = child.take();
    return event ? *event->payload : "nothing";
  }

  ServerLimits limits_;
  Ledger ledger_{UserLimits{}, TotalLimits{}, 0};
  test::PuppetHost host_;
  test::EveryProgram programs_;
  VolatileRecords records_;
  net::IoThreads threads_{1};
  FakeClock clock_;
  std::unique_ptr<InstanceManager> manager_;
  int changes_ = 0;
};

TEST_F(LaunchedChildrenTest, a_parent_hears_its_child_as_a_client_would) {
  const auto parent = launch();
  const auto child = launch_child(parent->id());
  ASSERT_TRUE(child.ok()) << child.error().message;
  auto& program = puppet((*child)->id());
  program.ports->write_stdout("out");
  program.ports->send_message("message");
  EXPECT_GT(changes_, 0);
  EXPECT_EQ(take(**child), "out");
  const auto message = (*child)->take();
  ASSERT_TRUE(message);
  EXPECT_EQ(message->kind, EventKind::kMessage);
  EXPECT_EQ(take(**child), "nothing");
  EXPECT_TRUE((*child)->post_message("to it").ok());
  EXPECT_EQ(program.messages, (std::vector<std::string>{"to it"}));
  program.finish({EndKind::kException, "broke"});
  const auto end = (*child)->take();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->kind, EventKind::kEnd);
  EXPECT_EQ(end->end, EndKind::kException);
  EXPECT_EQ(*end->payload, "broke");
  EXPECT_EQ((*child)->post_message("late").error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(manager().list("u"), (std::vector<InstanceRef>{parent})) << "heard, so forgotten";
}

TEST_F(LaunchedChildrenTest, lists_show_a_child_as_attached_and_nobody_takes_it_over) {
  const auto parent = launch();
  const auto child = launch_child(parent->id(), "std/child");
  ASSERT_TRUE(child.ok());
  ASSERT_EQ(manager().list("u").size(), 2U);
  for (const auto& one : manager().list("u")) {
    if (one->id() != (*child)->id()) continue;
    EXPECT_EQ(one->status(), Status::kAttached);
    EXPECT_EQ(one->record().cmd_name, "std/child");
    EXPECT_EQ(one->record().arguments, (std::vector<std::string>{"x"}));
  }
  std::string refused;
  manager().attach(
      "u", (*child)->id(), std::make_shared<test::Listener>(),
      [&](const Result<InstanceRef>& attached) { refused = attached.error().message; });
  EXPECT_EQ(refused, "Instance already attached");
}

TEST_F(LaunchedChildrenTest, a_parent_ends_after_its_children_whoever_holds_them) {
  const auto parent = launch();
  const auto child = launch_child(parent->id());
  ASSERT_TRUE(child.ok());
  const auto grandchild = launch_child((*child)->id());
  ASSERT_TRUE(grandchild.ok());
  const auto family = manager().list("u");
  ASSERT_EQ(family.size(), 3U);
  size_t ended = 0;  // of them, when the parent's end is known
  parent->when_ended([&] {
    for (const auto& one : family) ended += one->status() == Status::kFinished ? 1 : 0;
  });
  puppet(parent->id()).finish({EndKind::kCompleted, "done"});
  EXPECT_EQ(ended, 3U);
  EXPECT_EQ(manager().running_count(), 0U);
  EXPECT_EQ(manager().list("u"), (std::vector<InstanceRef>{parent}));
}

TEST_F(LaunchedChildrenTest, one_that_is_let_go_ends_and_is_forgotten) {
  const auto parent = launch();
  auto child = launch_child(parent->id());
  ASSERT_TRUE(child.ok());
  const std::string id = (*child)->id();
  puppet(id).ports->write_stdout("unheard");
  child->reset();
  EXPECT_EQ(puppet(id).ports, nullptr) << "it has ended";
  EXPECT_EQ(manager().list("u"), (std::vector<InstanceRef>{parent}));
  EXPECT_EQ(manager().running_count(), 1U);
}

TEST_F(LaunchedChildrenTest, so_many_live_at_once_in_so_many_generations) {
  limits_.instance.children_max = 2;
  limits_.instance.child_generations_max = 2;
  const auto parent = launch();
  const auto first = launch_child(parent->id()), second = launch_child(parent->id());
  ASSERT_TRUE(first.ok() && second.ok());
  const auto third = launch_child(parent->id());
  EXPECT_EQ(third.error().message,
            "[launch] got 2 children that live, expected fewer than 2; wait for their ends");
  puppet((*first)->id()).finish({EndKind::kCompleted, ""});
  EXPECT_TRUE(launch_child(parent->id()).ok());
  const auto grandchild = launch_child((*second)->id());
  ASSERT_TRUE(grandchild.ok());
  EXPECT_EQ(launch_child((*grandchild)->id()).error().code, ErrorCode::kResourceExhausted);
}

TEST_F(LaunchedChildrenTest, a_program_that_is_not_there_takes_no_place) {
  limits_.instance.children_max = 1;
  const auto parent = launch();
  EXPECT_EQ(launch_child(parent->id(), "none").error().message, "Program not found");
  EXPECT_TRUE(launch_child(parent->id()).ok());
}

TEST_F(LaunchedChildrenTest, what_is_found_after_the_end_is_not_launched) {
  programs_.waits = true;
  const auto parent = launch();
  std::optional<Result<ChildRef>> child;
  puppet(parent->id())
      .children->launch({.program = "std/c", .changed = [] {}},
                        [&](Result<ChildRef> done) { child = std::move(done); });
  ASSERT_EQ(programs_.waiting.size(), 1U);
  EXPECT_FALSE(programs_.askers[0].alive.expired());
  puppet(parent->id()).finish({EndKind::kCompleted, ""});
  EXPECT_TRUE(programs_.askers[0].alive.expired()) << "nothing is to be compiled for it";
  EXPECT_EQ(manager().running_count(), 0U);
  programs_.waiting[0](LaunchableProgram{std::make_shared<test::NamedProgram>(), "std/c"});
  ASSERT_TRUE(child);
  EXPECT_EQ(child->error().code, ErrorCode::kCancelled);
  EXPECT_EQ(manager().running_count(), 0U);
}

TEST_F(LaunchedChildrenTest, a_family_has_together_what_one_instance_may_have) {
  limits_.instance.memory_bytes_max = 100;
  const auto parent = launch();
  const auto child = launch_child(parent->id());
  ASSERT_TRUE(child.ok());
  const auto other = launch();
  EXPECT_TRUE(puppet(parent->id()).quotas->memory.take(60));
  EXPECT_FALSE(puppet((*child)->id()).quotas->memory.take(60));
  EXPECT_TRUE(puppet(other->id()).quotas->memory.take(60)) << "a family of its own";
  EXPECT_EQ(ledger_.of("u")->memory.used(), 120U);
  for (const auto& id : {parent->id(), other->id()}) puppet(id).quotas->memory.give_back(60);
}

TEST_F(LaunchedChildrenTest, what_nobody_hears_waits_and_counts_as_memory_of_the_family) {
  const auto parent = launch();
  const auto child = launch_child(parent->id());
  ASSERT_TRUE(child.ok());
  auto& program = puppet((*child)->id());
  const uint64_t before = program.quotas->host_memory.used();
  program.ports->write_stdout(std::string(2'000'000, 'x'));
  EXPECT_GE(program.quotas->host_memory.used(), before + 2'000'000);
  EXPECT_EQ(program.ports->writable_bytes(), 0U);
  bool is_woken = false;
  program.ports->on_writable([&] { is_woken = true; });
  EXPECT_EQ(take(**child).size(), 2'000'000U);
  EXPECT_TRUE(is_woken);
  EXPECT_EQ(program.quotas->host_memory.used(), before);
}

TEST_F(LaunchedChildrenTest, a_server_that_stops_waits_for_whole_families) {
  const auto parent = launch();
  const auto child = launch_child(parent->id());
  ASSERT_TRUE(child.ok());
  manager().stop();
  EXPECT_EQ(manager().running_count(), 0U);
  EXPECT_EQ(test::texts_after(parent->log(), 0), (std::vector<std::string>{"server stopped"}));
}

}  // namespace
}  // namespace pie::instance
