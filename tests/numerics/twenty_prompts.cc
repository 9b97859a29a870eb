#include "numerics/twenty_prompts.h"

#include <json.h>

#include <cmath>
#include <fstream>
#include <future>
#include <iterator>
#include <map>

#include "numerics/compare.h"
#include "support/test_model.h"

namespace pie::test {
namespace {

constexpr uint32_t kStepTokens = 512;

/// The sum of -log p of the tokens ids[first + 1, ...] by the rows of logits before them.
double surprise_of(std::span<const float> logits, std::span<const int32_t> ids, size_t first,
                   size_t rows) {
  const size_t vocab = logits.size() / rows;
  double sum = 0.0;
  for (size_t r = 0; r < rows && first + r + 1 < ids.size(); ++r) {
    const auto row = logits.subspan(r * vocab, vocab);
    const float largest = *std::max_element(row.begin(), row.end());
    double total = 0.0;
    for (const float logit : row) total += double{std::exp(logit - largest)};
    sum += std::log(total) + double{largest} - double{row[static_cast<size_t>(ids[first + r + 1])]};
  }
  return sum;
}

std::vector<ReferenceRun> run_reference() {
  Reference reference(model_path(), kReferenceContext, 1);
  std::vector<ReferenceRun> runs;
  for (const Prompt& prompt : twenty_prompts()) {
    ReferenceRun run;
    run.ids = reference.tokenize(prompt.text);
    const auto rows = static_cast<uint32_t>(run.ids.size());
    const std::vector<float> logits = reference.prefill(run.ids, rows);
    run.surprise = surprise_of(logits, run.ids, 0, rows);
    const size_t vocab = reference.vocab_size();
    run.steps = reference.greedy_after(std::span(logits).last(vocab), kContinuation);
    runs.push_back(std::move(run));
  }
  return runs;
}

/// Begins with the reference at the first call.
const std::shared_future<std::vector<ReferenceRun>>& reference_side() {
  static const std::shared_future<std::vector<ReferenceRun>> side =
      std::async(std::launch::async, run_reference).share();
  return side;
}

/// Reads prompt `index`: its surprise, and the token that follows.
SubjectRun read_prompt(Subject& subject, Subject::Sequence& sequence, size_t index) {
  SubjectRun run;
  const std::vector<int32_t> ids = ids_of(*default_model(), twenty_prompts()[index].text);
  for (size_t at = 0; at < ids.size(); at += kStepTokens) {
    const size_t rows = std::min<size_t>(kStepTokens, ids.size() - at);
    const std::vector<float> logits =
        subject.step({{&sequence, std::span(ids).subspan(at, rows)}}, static_cast<uint32_t>(rows));
    run.surprise += surprise_of(logits, ids, at, rows);
    if (at + rows == ids.size())
      run.tokens.push_back(best_two(std::span(logits).last(logits.size() / rows)).token);
  }
  return run;
}

std::vector<SubjectRun> run_subject(const ExecutorKind& kind) {
  Subject subject(kind, default_model(),
                  {.page_count = 1024, .step_tokens_max = kStepTokens, .thread_count = 1});
  const size_t vocab = default_model()->info().vocab_size;
  const size_t count = twenty_prompts().size();
  std::vector<SubjectRun> runs;
  std::vector<Subject::Sequence> sequences(count);
  for (size_t i = 0; i < count; ++i) runs.push_back(read_prompt(subject, sequences[i], i));
  while (runs[0].tokens.size() < kContinuation) {
    std::vector<Subject::Part> parts;
    for (size_t i = 0; i < count; ++i)
      parts.push_back({&sequences[i], {&runs[i].tokens.back(), 1}});
    const std::vector<float> logits = subject.step(parts, 1);
    for (size_t i = 0; i < count; ++i) {
      runs[i].tokens.push_back(best_two(std::span(logits).subspan(i * vocab, vocab)).token);
    }
  }
  return runs;
}

}  // namespace

const std::vector<Prompt>& twenty_prompts() {
  static const std::vector<Prompt> prompts = [] {
    std::ifstream in(PIE_PROMPTS);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    std::vector<Prompt> list;
    for (const common_json& entry : common_json::parse(text)) {
      list.push_back({entry.at("kind").get<std::string>(), entry.at("text").get<std::string>()});
    }
    return list;
  }();
  return prompts;
}

std::shared_ptr<const model::Model> default_model() {
  static const auto model = model::Model::load(model_path()).value();
  return model;
}

const std::vector<ReferenceRun>& reference_runs() { return reference_side().get(); }

const std::vector<SubjectRun>& subject_runs(const ExecutorKind& kind) {
  static std::map<std::string, std::vector<SubjectRun>> by_name;
  reference_side();
  auto found = by_name.find(kind.name);
  if (found == by_name.end()) found = by_name.emplace(kind.name, run_subject(kind)).first;
  return found->second;
}

double surprise_over(exec::KvFormat format, const ExecutorKind& kind, size_t prompt) {
  Subject subject(
      kind, default_model(),
      {.page_count = 256, .step_tokens_max = kStepTokens, .thread_count = 1, .kv_format = format});
  Subject::Sequence sequence;
  return read_prompt(subject, sequence, prompt).surprise;
}

}  // namespace pie::test
