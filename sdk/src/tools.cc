#include "pie/tools.h"

#include <algorithm>

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
