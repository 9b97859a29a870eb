// Commands of inferlet:core/runtime and common: models, queues, resources; and time.
#include <cstdlib>
#include <ctime>

#include "probe.h"

namespace probe {
namespace {

std::string text_answer(void (*call)(abi::Text*)) {
  abi::Text out;
  call(&out);
  return ok(hex(lift::text(out)));
}

std::string model_text(State& state, void (*call)(abi::Handle, abi::Text*)) {
  abi::Text out;
  call(state.models.get(), &out);
  return ok(hex(lift::text(out)));
}

std::string model_texts(State& state, void (*call)(abi::Handle, abi::Slice<abi::Text>*)) {
  abi::Slice<abi::Text> out;
  call(state.models.get(), &out);
  return ok(hexes(lift::texts(out)));
}

/// Waits for a debug query's answer.
std::string debug_answer(abi::Handle result) {
  block(abi::debug_query_pollable(result));
  abi::Option<abi::Text> out;
  abi::debug_query_get(result, &out);
  abi::debug_query_drop(result);
  return out.has != 0 ? ok(hex(lift::text(out.value))) : "none";
}

std::string args(State&, Words&) {
  abi::Slice<abi::Text> out;
  abi::runtime_get_arguments(&out);
  return ok(hexes(lift::texts(out)));
}

std::string models(State&, Words&) {
  abi::Slice<abi::Text> out;
  abi::runtime_get_all_models(&out);
  return ok(hexes(lift::texts(out)));
}

std::string models_with(State&, Words& words) {
  std::vector<std::string> traits;
  for (const std::string& part : split(words.word(), ',')) traits.push_back(unhex(part));
  std::vector<abi::Text> lent;
  for (const std::string& trait : traits) lent.push_back(lift::lend(trait));
  abi::Slice<abi::Text> out;
  abi::runtime_get_all_models_with_traits(lent.data(), lent.size(), &out);
  return ok(hexes(lift::texts(out)));
}

std::string get_model(State& state, Words& words) {
  const std::string name = words.text();
  abi::Option<abi::Handle> out;
  abi::runtime_get_model(name.data(), name.size(), &out);
  return out.has != 0 ? state.models.add(out.value) : "none";
}

std::string set_return(State&, Words& words) {
  const std::string value = words.text();
  abi::runtime_set_return(value.data(), value.size());
  return ok();
}

std::string debug_query(State&, Words& words) {
  const std::string query = words.text();
  return debug_answer(abi::runtime_debug_query(query.data(), query.size()));
}

std::string end_ok(State& state, Words& words) {
  state.end_text = words.text();
  state.ended = true;
  return "";
}

std::string end_err(State& state, Words& words) {
  state.end_text = words.text();
  state.ended = state.failed = true;
  return "";
}

std::string queue_debug_query(State& state, Words& words) {
  const std::string query = words.text();
  return debug_answer(abi::queue_debug_query(state.queues.get(), query.data(), query.size()));
}

std::string sync(State& state, Words&) {
  const abi::Handle result = abi::queue_synchronize(state.queues.get());
  block(abi::synchronization_pollable(result));
  abi::Option<uint8_t> out;
  abi::synchronization_get(result, &out);
  abi::synchronization_drop(result);
  if (out.has == 0) return "none";
  return ok(out.value != 0 ? "true" : "false");
}

std::string priority(State& state, Words& words) {
  const std::string level = words.word();
  const int32_t value = level == "low" ? 0 : level == "normal" ? 1 : level == "high" ? 2 : -1;
  if (value < 0) refuse("'" + level + "' is no priority");
  abi::queue_set_priority(state.queues.get(), value);
  return ok();
}

std::string alloc(State& state, Words& words) {
  const uint32_t type = words.number();
  const uint32_t count = words.number();
  abi::U32s out;
  abi::allocate_resources(state.queues.get(), type, count, &out);
  return ok(join(lift::numbers(out)));
}

std::string dealloc(State& state, Words& words) {
  const uint32_t type = words.number();
  const std::vector<uint32_t> pointers = words.list();
  abi::deallocate_resources(state.queues.get(), type, pointers.data(), pointers.size());
  return ok();
}

std::string exports(State& state, Words& words) {
  abi::Slice<abi::NamedCount> out;
  abi::get_all_exported_resources(state.queues.get(), words.number(), &out);
  std::string answer = "ok";
  for (uint32_t i = 0; i < out.size; ++i) {
    answer += " " + hex(lift::text(out.data[i].name)) + ":" + std::to_string(out.data[i].count);
  }
  return answer;
}

std::string export_pages(State& state, Words& words) {
  const uint32_t type = words.number();
  const std::vector<uint32_t> pointers = words.list();
  const std::string name = words.text();
  abi::export_resources(state.queues.get(), type, pointers.data(), pointers.size(), name.data(),
                        name.size());
  return ok();
}

std::string import_pages(State& state, Words& words) {
  const uint32_t type = words.number();
  const std::string name = words.text();
  abi::U32s out;
  abi::import_resources(state.queues.get(), type, name.data(), name.size(), &out);
  return ok(join(lift::numbers(out)));
}

std::string release(State& state, Words& words) {
  const uint32_t type = words.number();
  const std::string name = words.text();
  abi::release_exported_resources(state.queues.get(), type, name.data(), name.size());
  return ok();
}

std::string sleep_ms(State&, Words& words) {
  const uint32_t milliseconds = words.number();
  timespec time{.tv_sec = milliseconds / 1000,
                .tv_nsec = static_cast<long>(milliseconds % 1000) * 1000000L};
  nanosleep(&time, nullptr);
  return ok();
}

std::string now_ns(State&, Words&) {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return ok(std::to_string(static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec));
}

constexpr Entry kCommands[] = {
    {"version", [](State&, Words&) { return text_answer(abi::runtime_get_version); }},
    {"id", [](State&, Words&) { return text_answer(abi::runtime_get_instance_id); }},
    {"args", args},
    {"models", models},
    {"models-with", models_with},
    {"get-model", get_model},
    {"set-return", set_return},
    {"debug-query", debug_query},
    {"return", end_ok},
    {"fail", end_err},
    {"trap", [](State&, Words&) -> std::string { __builtin_trap(); }},
    {"exit",
     [](State&, Words& words) -> std::string { std::exit(static_cast<int>(words.number())); }},
    {"name", [](State& state, Words&) { return model_text(state, abi::model_get_name); }},
    {"description",
     [](State& state, Words&) { return model_text(state, abi::model_get_description); }},
    {"template",
     [](State& state, Words&) { return model_text(state, abi::model_get_prompt_template); }},
    {"traits", [](State& state, Words&) { return model_texts(state, abi::model_get_traits); }},
    {"stop-tokens",
     [](State& state, Words&) { return model_texts(state, abi::model_get_stop_tokens); }},
    {"service-id",
     [](State& state, Words&) {
       return ok(std::to_string(abi::model_get_service_id(state.models.get())));
     }},
    {"page-size",
     [](State& state, Words&) {
       return ok(std::to_string(abi::model_get_kv_page_size(state.models.get())));
     }},
    {"queue", [](State& state,
                 Words&) { return state.queues.add(abi::model_create_queue(state.models.get())); }},
    {"use-queue",
     [](State& state, Words& words) { return state.queues.use(words.number()), ok(); }},
    {"drop-queue", [](State& state, Words&) { return abi::queue_drop(state.queues.take()), ok(); }},
    {"queue-service-id",
     [](State& state, Words&) {
       return ok(std::to_string(abi::queue_get_service_id(state.queues.get())));
     }},
    {"queue-debug-query", queue_debug_query},
    {"sync", sync},
    {"priority", priority},
    {"alloc", alloc},
    {"dealloc", dealloc},
    {"exports", exports},
    {"export", export_pages},
    {"import", import_pages},
    {"release", release},
    {"sleep-ms", sleep_ms},
    {"now-ns", now_ns},
};

}  // namespace

std::span<const Entry> runtime_commands() { return kCommands; }

}  // namespace probe
