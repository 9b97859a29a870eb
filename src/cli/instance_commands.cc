#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json_text.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/follow.h"
#include "cli/on_call.h"
#include "cli/standard_streams.h"
#include "cli/terminal.h"
#include "client/client.h"
#include "client/wait.h"

namespace pie::cli {
namespace {

using client::Instance;
using client::InstanceInfo;
using client::wait_for;

struct ListOptions {
  ConnectionOptions connection;
  bool is_long = false;
  bool as_json = false;
};

struct PrefixOptions {
  ConnectionOptions connection;
  std::string prefix;
};

struct LogsOptions {
  PrefixOptions instance;
  uint64_t bytes_max = 64 << 10;
  bool as_json = false;
};

std::string json_line(const InstanceInfo& info) {
  std::string arguments;
  for (const std::string& argument : info.arguments) {
    arguments += (arguments.empty() ? "" : ", ") + json_text(argument);
  }
  return fmt::format(
      R"({{"id": {}, "cmd_name": {}, "arguments": [{}], "status": {}, "username": {}, )"
      R"("elapsed_secs": {}, "kv_pages_used": {}}})",
      json_text(info.id), json_text(info.cmd_name), arguments, json_text(info.status),
      json_text(info.username), info.elapsed_secs, info.kv_pages_used);
}

void print_json(const std::vector<InstanceInfo>& instances) {
  std::string lines;
  for (const InstanceInfo& info : instances) {
    lines += (lines.empty() ? "\n  " : ",\n  ") + json_line(info);
  }
  say("[{}{}]\n", lines, lines.empty() ? "" : "\n");
}

/// How much of an id tells every instance from the others; at least 8 characters.
size_t id_length(const std::vector<InstanceInfo>& instances) {
  std::vector<std::string> ids;
  ids.reserve(instances.size());
  for (const InstanceInfo& info : instances) ids.push_back(info.id);
  std::sort(ids.begin(), ids.end());
  size_t length = 8;
  for (size_t i = 1; i < ids.size(); ++i) {
    const auto differ =
        std::mismatch(ids[i - 1].begin(), ids[i - 1].end(), ids[i].begin(), ids[i].end());
    const auto common = static_cast<size_t>(differ.first - ids[i - 1].begin());
    length = std::max(length, common + 1);
  }
  return length;
}

/// "59s", "12m03s", "5h07m", "3d04h".
std::string duration(uint64_t seconds) {
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3'600) return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
  if (seconds < 86'400) return fmt::format("{}h{:02}m", seconds / 3'600, seconds / 60 % 60);
  return fmt::format("{}d{:02}h", seconds / 86'400, seconds / 3'600 % 24);
}

/// The status in its colour, padded to its column.
std::string status_cell(const std::string& status) {
  const Colour colour = status == "Attached"   ? Colour::kGreen
                        : status == "Detached" ? Colour::kYellow
                                               : Colour::kDim;
  return paint(stdout, colour, fmt::format("{:<8}", status));
}

void print_table(const std::vector<InstanceInfo>& instances) {
  const size_t width = id_length(instances);
  std::string rows =
      fmt::format("{:<{}}  {:<8}  {:>7}  {}\n", "ID", width, "STATUS", "AGE", "PROGRAM");
  for (const InstanceInfo& info : instances) {
    rows += fmt::format("{}  {}  {:>7}  {}\n", info.id.substr(0, width), status_cell(info.status),
                        duration(info.elapsed_secs), printable_line(info.cmd_name));
  }
  say_text(rows);
}

void print_long_table(const std::vector<InstanceInfo>& instances) {
  std::string rows = fmt::format("{:<36}  {:<8}  {:>8}  {:>8}  {:<12}  {}\n", "ID", "STATUS",
                                 "SECONDS", "KV PAGES", "USER", "PROGRAM AND ARGUMENTS");
  for (const InstanceInfo& info : instances) {
    std::string program = info.cmd_name;
    for (const std::string& argument : info.arguments) program += ' ' + argument;
    rows += fmt::format("{:<36}  {}  {:>8}  {:>8}  {:<12}  {}\n", info.id, status_cell(info.status),
                        info.elapsed_secs, info.kv_pages_used, printable_line(info.username),
                        printable_line(program));
  }
  say_text(rows);
}

Result<void> list(const ListOptions& options) {
  PIE_TRY_ASSIGN(const Connected connected, connect(options.connection));
  PIE_TRY_ASSIGN(const std::vector<InstanceInfo> instances,
                 wait_for<std::vector<InstanceInfo>>(
                     [&](auto told) { connected.client->list_instances(told); }));
  if (options.as_json) {
    print_json(instances);
  } else if (options.is_long) {
    print_long_table(instances);
  } else {
    print_table(instances);
  }
  return {};
}

Result<int> attach(const PrefixOptions& options) {
  PIE_TRY_ASSIGN(const Connected connected, connect(options.connection));
  PIE_TRY_ASSIGN(const std::string id, find_instance(*connected.client, options.prefix));
  PIE_TRY_ASSIGN(const Instance instance,
                 wait_for<Instance>([&](auto told) { connected.client->attach(id, told); }));
  Result<int> code = follow(*connected.client, instance, Leaving::kDetaches);
  connected.client->close();
  return with_rest(std::move(code), instance);
}

Result<void> abort_instance(const PrefixOptions& options) {
  PIE_TRY_ASSIGN(const Connected connected, connect(options.connection));
  PIE_TRY_ASSIGN(const std::string id, find_instance(*connected.client, options.prefix));
  PIE_TRY(wait_for<void>([&](auto told) { connected.client->terminate(id, told); }));
  say("{}\n", id);
  return {};
}

Result<void> logs(const LogsOptions& options) {
  PIE_TRY_ASSIGN(const Connected connected, connect(options.instance.connection));
  PIE_TRY_ASSIGN(const std::string id, find_instance(*connected.client, options.instance.prefix));
  const std::string record =
      fmt::format("{} {} {}", id, options.as_json ? "json" : "text", options.bytes_max);
  PIE_TRY_ASSIGN(const std::string text, wait_for<std::string>([&](auto told) {
                   connected.client->query("instance_log", record, told);
                 }));
  say("{}{}", text, text.empty() || text.back() == '\n' ? "" : "\n");
  return {};
}

void add_list(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* command = app.add_subcommand("list", "List your instances, newest first");
  CLI::Option* is_long = command->add_flag(
      "-l,--long", options->is_long, "Whole ids, with user, KV pages and the program's arguments");
  command->add_flag("--json", options->as_json, "As a JSON array")->excludes(is_long);
  add_connection_options(*command, options->connection);
  command->footer("Examples:\n  pie list --long\n  pie list --json\n");
  on_call(command, exit_code, [options] { return list(*options); });
}

void add_prefix(CLI::App& command, PrefixOptions& options) {
  command.add_option("id", options.prefix, "The instance's id, or how it begins")->required();
}

void add_attach(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<PrefixOptions>();
  CLI::App* command =
      app.add_subcommand("attach", "Show what a detached instance said and says until it ends");
  add_prefix(*command, *options);
  add_connection_options(*command, options->connection);
  command->footer(
      "Ctrl-C terminates the instance; Ctrl-D (also SIGTERM, and closing the terminal) detaches\n"
      "from it and leaves it running. Without a terminal there is no Ctrl-D: an end of the input\n"
      "is not one. What is typed is not sent to the instance.\n"
      "Exit codes: 0 it completed, or was left running; 1 it failed, or what it said could not be\n"
      "written; 130 terminated by Ctrl-C; 141 nobody reads the output any more. What was not\n"
      "written stays in its log.\n"
      "Example:\n  pie attach 3f2a\n");
  on_call(command, exit_code, [options] { return attach(*options); });
}

void add_abort(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<PrefixOptions>();
  CLI::App* command =
      app.add_subcommand("abort", "Terminate an instance, or forget a finished one");
  add_prefix(*command, *options);
  add_connection_options(*command, options->connection);
  command->footer("Prints the instance's id.\nExample:\n  pie abort 3f2a\n");
  on_call(command, exit_code, [options] { return abort_instance(*options); });
}

void add_logs(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<LogsOptions>();
  CLI::App* command =
      app.add_subcommand("logs", "Print the last that an instance said, and leave it in its log");
  add_prefix(*command, options->instance);
  command->add_option("-n,--bytes", options->bytes_max, "At most so many bytes [65536]");
  command->add_flag("--json", options->as_json, "As a JSON array of events");
  add_connection_options(*command, options->instance.connection);
  command->footer(
      "Shows what nobody has received yet; `pie attach` receives it.\n"
      "Example:\n  pie logs 3f2a --json\n");
  on_call(command, exit_code, [options] { return logs(*options); });
}

}  // namespace

void add_instance_commands(CLI::App& app, int& exit_code) {
  add_list(app, exit_code);
  add_attach(app, exit_code);
  add_abort(app, exit_code);
  add_logs(app, exit_code);
}

}  // namespace pie::cli
