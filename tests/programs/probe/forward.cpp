// Commands of inferlet:core/forward and wasi:io/poll.
#include <cstdio>

#include "probe.h"

namespace probe {
namespace {

std::string tokens(State& state, Words& words) {
  const std::vector<uint32_t> ids = words.list();
  const std::vector<uint32_t> positions = words.positions();
  abi::input_tokens(state.passes.get(), ids.data(), ids.size(), positions.data(), positions.size());
  return ok();
}

std::string embeddings_in(State& state, Words& words) {
  const std::vector<uint32_t> slots = words.list();
  const std::vector<uint32_t> positions = words.positions();
  abi::input_embeddings(state.passes.get(), slots.data(), slots.size(), positions.data(),
                        positions.size());
  return ok();
}

std::string embeddings_out(State& state, Words& words) {
  const std::vector<uint32_t> slots = words.list();
  const std::vector<uint32_t> indices = words.positions();
  abi::output_embeddings(state.passes.get(), slots.data(), slots.size(), indices.data(),
                         indices.size());
  return ok();
}

std::string kv(State& state, Words& words) {
  const std::vector<uint32_t> pages = words.list();
  abi::kv_cache(state.passes.get(), pages.data(), pages.size(), words.number());
  return ok();
}

std::string mask(State& state, Words& words) {
  std::vector<std::vector<uint32_t>> rows;
  for (const std::string& row : split(words.word(), ';')) rows.push_back(parse_list(row));
  std::vector<abi::Slice<const uint32_t>> lent;
  for (const auto& row : rows) lent.push_back({row.data(), static_cast<uint32_t>(row.size())});
  abi::attention_mask(state.passes.get(), lent.data(), lent.size());
  return ok();
}

std::string dist(State& state, Words& words) {
  const std::vector<uint32_t> indices = words.list();
  const float temperature = words.real();
  const std::string top_k = words.word();
  const std::vector<uint32_t> count = parse_list(top_k);
  abi::output_distributions(state.passes.get(), indices.data(), indices.size(), temperature,
                            count.empty() ? 0 : 1, count.empty() ? 0 : count.front());
  return ok();
}

std::string out(State& state, Words& words) {
  const abi::Handle pass = state.passes.get();
  const std::string kind = words.word();
  const std::vector<uint32_t> list = words.list();
  const uint32_t* indices = list.data();
  const uint32_t count = list.size();
  if (kind == "greedy") {
    abi::output_tokens(pass, indices, count, 0.0F);
    return ok();
  }
  const float temperature = words.real();
  if (kind == "plain") {
    abi::output_tokens(pass, indices, count, temperature);
  } else if (kind == "top-k") {
    abi::output_tokens_top_k(pass, indices, count, temperature, words.number());
  } else if (kind == "top-p") {
    abi::output_tokens_top_p(pass, indices, count, temperature, words.real());
  } else if (kind == "min-p") {
    abi::output_tokens_min_p(pass, indices, count, temperature, words.real());
  } else if (kind == "top-k-top-p") {
    const uint32_t top_k = words.number();
    abi::output_tokens_top_k_top_p(pass, indices, count, temperature, top_k, words.real());
  } else {
    refuse("'" + kind + "' is no sampler");
  }
  return ok();
}

std::string execute(State& state, Words&) {
  abi::Option<abi::Handle> result;
  abi::forward_pass_execute(state.passes.get(), &result);
  return result.has != 0 ? state.results.add(result.value) : "none";
}

std::string ready(State& state, Words&) {
  const abi::Handle pollable = abi::pass_result_pollable(state.results.get());
  const bool is_ready = abi::pollable_ready(pollable) != 0;
  abi::pollable_drop(pollable);
  return ok(is_ready ? "true" : "false");
}

std::string wait(State& state, Words&) {
  block(abi::pass_result_pollable(state.results.get()));
  return ok();
}

std::string wait_any(State& state, Words& words) {
  std::vector<abi::Handle> pollables;
  for (const uint32_t number : words.list()) {
    pollables.push_back(abi::pass_result_pollable(state.results.at(number)));
  }
  abi::U32s out;
  abi::poll(pollables.data(), pollables.size(), &out);
  for (const abi::Handle pollable : pollables) abi::pollable_drop(pollable);
  return ok(join(lift::numbers(out)));
}

std::string poll_none(State&, Words&) {
  abi::U32s out;
  abi::poll(nullptr, 0, &out);
  return ok(join(lift::numbers(out)));
}

std::string get_tokens(State& state, Words&) {
  abi::Option<abi::U32s> out;
  abi::pass_result_get_tokens(state.results.get(), &out);
  return out.has != 0 ? ok(join(lift::numbers(out.value))) : "none";
}

/// One word per distribution: id:probability,id:probability,...
std::string get_dist(State& state, Words&) {
  abi::Option<abi::Slice<abi::Distribution>> out;
  abi::pass_result_get_distributions(state.results.get(), &out);
  if (out.has == 0) return "none";
  std::string answer = "ok";
  for (uint32_t i = 0; i < out.value.size; ++i) {
    const std::vector<uint32_t> ids = lift::numbers(out.value.data[i].ids);
    const std::vector<float> probabilities = lift::numbers(out.value.data[i].probabilities);
    if (ids.size() != probabilities.size()) refuse("the host gave lists of different lengths");
    for (size_t k = 0; k < ids.size(); ++k) {
      char text[48];
      std::snprintf(text, sizeof text, "%c%u:%.9g", k == 0 ? ' ' : ',', ids[k],
                    static_cast<double>(probabilities[k]));
      answer += text;
    }
  }
  return answer;
}

constexpr Entry kCommands[] = {
    {"pass", [](State& state,
                Words&) { return state.passes.add(abi::create_forward_pass(state.queues.get())); }},
    {"use-pass", [](State& state, Words& words) { return state.passes.use(words.number()), ok(); }},
    {"drop-pass",
     [](State& state, Words&) { return abi::forward_pass_drop(state.passes.take()), ok(); }},
    {"tokens", tokens},
    {"emb-in", embeddings_in},
    {"emb-out", embeddings_out},
    {"kv", kv},
    {"mask", mask},
    {"dist", dist},
    {"out", out},
    {"execute", execute},
    {"use-result",
     [](State& state, Words& words) { return state.results.use(words.number()), ok(); }},
    {"drop-result",
     [](State& state, Words&) { return abi::pass_result_drop(state.results.take()), ok(); }},
    {"ready?", ready},
    {"wait", wait},
    {"wait-any", wait_any},
    {"poll-none", poll_none},
    {"get-tokens", get_tokens},
    {"get-dist", get_dist},
};

}  // namespace

std::span<const Entry> forward_commands() { return kCommands; }

}  // namespace probe
