#include "pie/tools.h"

#include <algorithm>

#include "pie/when.h"

namespace inferlet {
namespace {

Task<Result<std::string>> refuse(std::string why) { co_return fail(std::move(why)); }

}  // namespace

void Tools::put(Tool tool) {
  std::erase_if(tools_, [&](const Tool& other) { return other.name == tool.name; });
  tools_.push_back(std::move(tool));
}

Json Tools::schema() const {
  Json::Array all;
  for (const Tool& tool : tools_) {
    all.emplace_back(Json::Object{{"type", "function"},
                                  {"function", Json::Object{{"name", tool.name},
                                                            {"description", tool.description},
                                                            {"parameters", tool.parameters}}}});
  }
  return all;
}

std::vector<inferlet::Tool> Tools::list() const {
  std::vector<inferlet::Tool> all;
  for (const Tool& tool : tools_)
    all.push_back({tool.name, tool.description, tool.parameters.text()});
  return all;
}

Task<std::vector<Message>> Tools::answer(std::vector<ToolCall> calls) const {
  std::vector<Task<Result<std::string>>> tasks;
  for (const ToolCall& one : calls) tasks.push_back(call(one.name, one.arguments));
  const auto results = co_await when_all(std::move(tasks));
  std::vector<Message> messages;
  for (size_t i = 0; i < calls.size(); ++i)
    messages.push_back(
        Message::result(calls[i], results[i] ? *results[i] : "error: " + results[i].error()));
  co_return messages;
}

Task<Result<std::string>> Tools::run(std::string_view name, Json arguments) const {
  const auto tool = std::ranges::find(tools_, name, &Tool::name);
  if (tool != tools_.end()) return tool->run(std::move(arguments));
  std::string known;
  for (const Tool& one : tools_) known += (known.empty() ? "'" : ", '") + one.name + "'";
  return refuse("[tool] got '" + std::string(name) + "', expected " +
                (known.empty() ? "none: there are no tools" : "one of " + known));
}

Task<Result<std::string>> Tools::call(std::string name, std::string arguments) const {
  Result<Json> json = Json::parse(arguments.empty() ? "{}" : arguments);
  if (!json) return refuse("[" + name + "] " + json.error());
  return run(name, std::move(*json));
}

Task<Result<std::string>> Tools::call(std::string text) const {
  const Result<Json> call = Json::parse(text);
  if (!call) return refuse("[tool call] " + call.error());
  const Json* name = call->find("name");
  if (name == nullptr || name->string() == nullptr)
    return refuse("[tool call] got no name, expected {\"name\": ..., \"arguments\": {...}}");
  const Json* arguments = call->find("arguments");
  return run(*name->string(), arguments != nullptr ? *arguments : Json(Json::Object()));
}

}  // namespace inferlet
