#include "model/answer_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "model/answer_format.h"
#include "model/bounded_run.h"

namespace pie::model {
namespace {

constexpr size_t kLookBytesMin = 16;
constexpr size_t kLookShare = 64;

/// What a look and who waits for it share: the look may be left behind.
struct AnswerReading {
  std::shared_ptr<const AnswerFormat> format;
  std::string text;
  ParsedAnswer answer;
  std::optional<std::string> mistake;
};

Result<ParsedAnswer> look(const std::shared_ptr<const AnswerFormat>& format,
                          const std::string& text, AnswerFormat::TextEnd end, std::stop_token stop,
                          uint64_t* cpu_ns) {
  const auto run = std::make_shared<AnswerReading>(AnswerReading{format, text, {}, {}});
  const Result<void> done = run_bounded(
      {}, std::move(stop),
      [run, end] {
        try {
          run->answer = run->format->parse(run->text, end);
        } catch (const Mistake& mistake) {
          run->mistake = mistake.what();
        }
      },
      cpu_ns);
  if (done.ok() && !run->mistake) return std::move(run->answer);
  if (done.ok()) return Error{ErrorCode::kInvalidArgument, *run->mistake};
  if (done.error().code == ErrorCode::kResourceExhausted)
    return Error{
        ErrorCode::kResourceExhausted,
        fmt::format("[answer] got one that takes {} to read, expected one that does with it",
                    done.error().message)};
  if (done.error().code != ErrorCode::kInternal) return done.error();
  return Error{
      ErrorCode::kInvalidArgument,
      fmt::format("[answer] got a text that does not fit the model's format ({}); take it as "
                  "it is, or ask the model again",
                  done.error().message)};
}

/// Adds what `now` says beyond `told`, if it goes on where that ended.
void tell(std::vector<AnswerDelta>& deltas, std::string& told, const std::string& now,
          AnswerDelta delta) {
  if (now.size() <= told.size() || !now.starts_with(told)) return;
  delta.text = now.substr(told.size());
  told = now;
  deltas.push_back(std::move(delta));
}

}  // namespace

AnswerParser::Next AnswerParser::add(std::string_view piece) {
  text_ += piece;
  const size_t grown = text_.size() - looked_bytes_;
  return grown >= std::max(kLookBytesMin, looked_bytes_ / kLookShare) ? Next::kLook : Next::kMore;
}

Result<std::vector<AnswerDelta>> AnswerParser::advance(std::stop_token stop, uint64_t* cpu_ns) {
  looked_bytes_ = text_.size();
  const auto answer = look(format_, text_, AnswerFormat::TextEnd::kGoesOn, std::move(stop), cpu_ns);
  if (answer.ok()) return told_until(*answer);
  if (answer.error().code == ErrorCode::kInvalidArgument) return std::vector<AnswerDelta>();
  return answer.error();
}

Result<AnswerEnd> AnswerParser::finish(std::stop_token stop, uint64_t* cpu_ns) {
  PIE_TRY_ASSIGN(ParsedAnswer answer,
                 look(format_, text_, AnswerFormat::TextEnd::kWhole, std::move(stop), cpu_ns));
  std::vector<AnswerDelta> rest = told_until(answer);
  return AnswerEnd{std::move(answer), std::move(rest)};
}

std::vector<AnswerDelta> AnswerParser::told_until(const ParsedAnswer& answer) {
  std::vector<AnswerDelta> deltas;
  tell(deltas, told_.reasoning, answer.reasoning, {AnswerDelta::Kind::kReasoning, 0, {}, {}});
  tell(deltas, told_.text, answer.text, {AnswerDelta::Kind::kText, 0, {}, {}});
  for (size_t i = 0; i < answer.calls.size(); ++i) {
    const ToolCall& call = answer.calls[i];
    if (i == told_.calls.size()) {
      told_.calls.push_back({call.id, call.name, {}});
      deltas.push_back({AnswerDelta::Kind::kCall, i, call.id, call.name});
    }
    tell(deltas, told_.calls[i].arguments, call.arguments,
         {AnswerDelta::Kind::kArguments, i, {}, {}});
  }
  return deltas;
}

}  // namespace pie::model
