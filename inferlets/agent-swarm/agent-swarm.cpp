// Four roles that work on a task one after the other: a planner, a writer, a critic and an editor.
// Each is a child, an instance with a context of its own, and hands on by a topic: nobody in the
// middle sees, or waits for, what the others say.
//
//   --task, -t         what is to be done (required)
//   --max-tokens, -n   tokens of one role at most (default 64)
//   --tasks            the roles are tasks of this instance instead of children, to compare
//   --role             which role this instance has; children are launched with it
//   --channel          the topics of the swarm that it belongs to, as --role
//
// Sends what each role made of its task to the client as JSON (role, text) and returns the last.
#include <pie/inferlet.h>

namespace {

using inferlet::Child;
using inferlet::Context;
using inferlet::fail;
using inferlet::Json;
using inferlet::Result;
using inferlet::Subscription;
using inferlet::Task;

struct Role {
  const char* name;
  const char* system;
};
constexpr Role kRoles[] = {
    {"planner", "You plan. Answer with a short numbered plan for the task, and nothing else."},
    {"writer", "You write. Answer with a short text that follows the plan, and nothing else."},
    {"critic", "You criticise. Answer with what should be better in the text, in one sentence."},
    {"editor", "You edit. Answer with a short final text that heeds the criticism."},
};
constexpr size_t kRoleCount = std::size(kRoles);

struct Options {
  std::string task;
  int64_t max_tokens = 64;
  bool tasks = false;
  std::string role, channel;

  Result<void> parse(const std::vector<std::string>& arguments) {
    inferlet::ArgumentParser parser;
    parser.option("task", 't', &task)
        .option("max-tokens", 'n', &max_tokens)
        .option("tasks", 0, &tasks)
        .option("role", 0, &role)
        .option("channel", 0, &channel);
    if (auto parsed = parser.parse(arguments); !parsed) return parsed;
    if (role.empty() && task.empty()) return fail("[--task] got nothing, expected what to do");
    if (max_tokens < 1)
      return fail("[--max-tokens] got " + std::to_string(max_tokens) + ", expected 1 or more");
    return {};
  }
};

/// Where the role of this number is handed its work; that of kRoleCount is the whole swarm's
/// result.
std::string topic_of(const std::string& channel, size_t role) {
  return channel + "/" + std::to_string(role);
}

/// What the role makes of what it is given.
Task<Result<std::string>> work(const Role& role, std::string given, int64_t max_tokens) {
  auto context = Context::create();
  if (!context) co_return fail(context.error());
  context->fill_system(role.system);
  context->fill_user(given);
  if (auto opened = context->open_answer(); !opened) co_return fail(opened.error());
  const auto stop = inferlet::Stop::max_len(static_cast<size_t>(max_tokens)) |
                    inferlet::Stop::end_of_turn(context->model());
  co_return co_await context->generate(inferlet::Sampler::greedy(), stop);
}

/// Waits for its turn, works, hands on. `ready` is called when nothing can be missed any more.
Task<Result<std::string>> serve(size_t number, std::string channel, int64_t max_tokens,
                                void (*ready)()) {
  const Subscription mine(topic_of(channel, number));
  ready();
  const std::string given = co_await mine.next();
  auto made = co_await work(kRoles[number], given, max_tokens);
  if (made) inferlet::broadcast(topic_of(channel, number + 1), *made);
  co_return made;
}

void show(size_t number, const std::string& text) {
  inferlet::send(
      Json(Json::Object{{"role", Json(kRoles[number].name)}, {"text", Json(text)}}).text());
}

/// The roles as tasks of this instance.
Task<Result<std::string>> swarm_of_tasks(const Options& options, std::string channel) {
  std::vector<Task<Result<std::string>>> roles;
  for (size_t i = 0; i < kRoleCount; ++i)
    roles.push_back(serve(i, channel, options.max_tokens, [] {}));
  auto [texts, unused] = co_await inferlet::when_all(
      inferlet::when_all(std::move(roles)), [](std::string topic, std::string task) -> Task<void> {
        inferlet::broadcast(topic, task);  // begun last: all have subscribed
        co_return;
      }(topic_of(channel, 0), options.task));
  for (size_t i = 0; i < kRoleCount; ++i) {
    if (!texts[i]) co_return fail(texts[i].error());
    show(i, *texts[i]);
  }
  co_return std::move(texts.back());
}

/// The roles as children, each of which says that it is ready by a message.
Task<Result<std::string>> swarm_of_children(const Options& options, std::string channel) {
  std::vector<Task<Result<Child>>> launches;
  for (const Role& role : kRoles)
    launches.push_back(inferlet::launch("std/agent-swarm",
                                        {"--role=" + std::string(role.name), "--channel=" + channel,
                                         "--max-tokens=" + std::to_string(options.max_tokens)}));
  auto launched = co_await inferlet::when_all(std::move(launches));
  std::vector<Child> children;
  for (auto& one : launched) {
    if (!one) co_return fail(one.error());
    children.push_back(std::move(*one));
  }
  for (Child& one : children) co_await one.receive_message();
  const Subscription result(topic_of(channel, kRoleCount));
  inferlet::broadcast(topic_of(channel, 0), options.task);
  for (size_t i = 0; i < kRoleCount; ++i) {
    const inferlet::ChildEnd end = co_await children[i].wait();
    if (!end.is_completed()) co_return fail("[" + std::string(kRoles[i].name) + "] " + end.text);
    show(i, end.text);
  }
  co_return co_await result.next();
}

}  // namespace

Task<Result<std::string>> inferlet_main(std::vector<std::string> arguments) {
  Options options;
  if (auto parsed = options.parse(arguments); !parsed) co_return fail(parsed.error());
  if (options.role.empty()) {
    const std::string channel = "swarm/" + inferlet::instance_id();
    if (options.tasks) co_return co_await swarm_of_tasks(options, channel);
    co_return co_await swarm_of_children(options, channel);
  }
  for (size_t i = 0; i < kRoleCount; ++i)
    if (options.role == kRoles[i].name)
      co_return co_await serve(i, options.channel, options.max_tokens,
                               [] { inferlet::send("ready"); });
  co_return fail("[--role] got '" + options.role + "', expected one of the swarm's");
}
