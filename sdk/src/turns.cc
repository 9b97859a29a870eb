// Context: turns of a conversation.
#include <algorithm>
#include <utility>

#include "pie/context.h"

namespace inferlet {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

/// The part of a newly rendered conversation that `written` lacks, when the template does not
/// repeat `written` word for word (it trims answers, say): what follows the last answer, less what
/// of it is written already, such as the end-of-turn token that the model itself generated.
std::optional<std::string> after_last_answer(const std::string& rendered, std::string_view written,
                                             std::string_view answer) {
  answer = trimmed(answer);
  size_t begin = answer.empty() ? std::string::npos : rendered.rfind(answer);
  if (begin == std::string::npos) return std::nullopt;
  begin += answer.size();
  const std::string_view rest = std::string_view(rendered).substr(begin);
  size_t overlap = std::min(rest.size(), written.size());
  while (overlap > 0 && !written.ends_with(rest.substr(0, overlap))) --overlap;
  return std::string(rest.substr(overlap));
}

}  // namespace

void Context::fill_turn(std::string role, std::string text) {
  close_reply();
  chat_.messages.push_back({std::move(role), std::move(text)});
  chat_.has_new_turns = true;
  chat_.is_prompted = false;
}

/// What was generated since the last turn becomes the assistant's message.
void Context::close_reply() {
  if (chat_.reply.empty()) return;
  std::string text = tokenizer().detokenize(chat_.reply);
  chat_.written += text;
  for (const std::string& stop : shared_->stop_tokens) {
    if (!stop.empty() && text.ends_with(stop)) {
      text.resize(text.size() - stop.size());
      break;
    }
  }
  chat_.messages.push_back({"assistant", std::move(text)});
  chat_.reply.clear();
}

Result<void> Context::write_turns(bool add_generation_prompt) {
  if (step_ || generation_)
    return fail("[context] got a call while a step is under way, expected its end first");
  const bool prompt_missing =
      add_generation_prompt && !chat_.is_prompted && !chat_.messages.empty();
  if (!chat_.has_new_turns && !prompt_missing) return {};
  const Result<std::string> rendered = render_chat(model(), chat_.messages, add_generation_prompt);
  if (!rendered) return fail(rendered.error());
  std::optional<std::string> missing;
  if (rendered->starts_with(chat_.written)) {
    missing = rendered->substr(chat_.written.size());
  } else {
    const auto answer =
        std::find_if(chat_.messages.rbegin(), chat_.messages.rend(),
                     [](const auto& message) { return message.role == "assistant"; });
    if (answer != chat_.messages.rend()) {
      missing = after_last_answer(*rendered, chat_.written, answer->content);
    }
  }
  if (missing) {
    if (chat_.written.empty()) chat_.begin = size();
    append_pending(tokens_at_end(*missing));
    chat_.written += *missing;
  } else if (chat_.is_whole) {
    rewrite_turns(*rendered);
  } else {
    return fail(
        "[chat template] the new turns change what the template wrote before, of which pages were "
        "dropped; use render_chat and fill");
  }
  chat_.has_new_turns = false;
  chat_.is_prompted = add_generation_prompt;
  return {};
}

/// The template now writes earlier turns in another way (Qwen3's leaves out what was thought in
/// them): what both have in common stays, the rest is filled in anew.
void Context::rewrite_turns(const std::string& rendered) {
  const std::vector<uint32_t> had = tokens();
  std::vector<uint32_t> wanted(had.begin(), had.begin() + static_cast<ptrdiff_t>(chat_.begin));
  if (chat_.begin == 0) {
    const ModelInfo& info = shared_->info;
    if (info.adds_bos) wanted.push_back(*info.bos_token);
  }
  std::vector<uint32_t> turns = tokenizer().tokenize(rendered);
  const bool has_two =
      chat_.begin == 0 && !wanted.empty() && !turns.empty() && turns.front() == wanted.front();
  wanted.insert(wanted.end(), turns.begin() + (has_two ? 1 : 0), turns.end());
  become(wanted);
  chat_.written = rendered;
}

/// What it has in common with `wanted` stays.
void Context::become(std::span<const uint32_t> wanted) {
  const std::vector<uint32_t> had = tokens();
  const auto [in_had, in_wanted] = std::ranges::mismatch(had, wanted);
  keep(static_cast<size_t>(in_had - had.begin()));
  append_pending(std::span(in_wanted, wanted.end()));
}

Result<void> Context::become(std::string_view text) {
  if (step_ || generation_)
    return fail("[context] got a call while a step is under way, expected its end first");
  if (!chat_.is_whole || has_masked_)
    return fail("[context] got one with masked or dropped tokens, expected a whole one");
  std::vector<uint32_t> wanted = tokenizer().tokenize(text);
  const ModelInfo& info = shared_->info;
  if (info.adds_bos && (wanted.empty() || wanted.front() != *info.bos_token))
    wanted.insert(wanted.begin(), *info.bos_token);
  become(wanted);
  chat_ = Chat();
  return {};
}

}  // namespace inferlet
