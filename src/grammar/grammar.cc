#include "grammar/grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "grammar/bounded_call.h"
#include "grammar/deep_stack.h"
#include "grammar/gbnf.h"
#include "grammar/library_text.h"

namespace pie::grammar {
namespace {

constexpr CallBounds kCompileBounds = {.memory_bytes = 128ULL << 20, .cpu_ns = 500'000'000};
constexpr uint64_t kGrammarBytesMin = 4096;  ///< counted for it at least
/// Of a matcher: some 100 MiB, which are charged as they come.
constexpr size_t kLexerStatesMax = 50'000;

const char* name_of(GrammarKind kind) {
  switch (kind) {
    case GrammarKind::kJsonSchema: return "json-schema";
    case GrammarKind::kRegex: return "regex";
    case GrammarKind::kLark: return "lark";
    case GrammarKind::kGbnf: return "gbnf";
  }
  return "";
}

/// The library's name of the notation that it gets.
const char* notation_of(GrammarKind kind) {
  switch (kind) {
    case GrammarKind::kJsonSchema: return "json";
    case GrammarKind::kRegex: return "regex";
    case GrammarKind::kLark:
    case GrammarKind::kGbnf: return "lark";
  }
  return "";
}

Error refused(GrammarKind kind, std::string_view why) {
  return Error{ErrorCode::kInvalidArgument, fmt::format("[{}] {}", name_of(kind), why)};
}

LlgMatcherPtr compile_within_bounds(const Vocabulary& vocabulary, GrammarKind kind,
                                    const std::string& text) {
  LlgConstraintInit init = {};
  llg_constraint_init_set_defaults(&init, vocabulary.handle());
  init.log_buffer_level = 0;
  init.log_stderr_level = 0;
  init.limits.max_lexer_states = kLexerStatesMax;
  init.limits.verbose_errors = false;
  const BoundedCall bounded(kCompileBounds);
  LlgMatcherPtr matcher(llg_new_matcher(&init, notation_of(kind), text.c_str()));
  // The first state is computed here, for all that are cloned of it.
  if (!llg_matcher_is_error(matcher.get())) (void)llg_matcher_compute_mask(matcher.get());
  return matcher;
}

}  // namespace

void LlgMatcherDeleter::operator()(LlgMatcher* matcher) const { llg_free_matcher(matcher); }

Result<std::shared_ptr<const Grammar>> Grammar::compile(
    std::shared_ptr<const Vocabulary> vocabulary, GrammarKind kind, std::string_view text,
    uint64_t* cpu_ns) {
  if (!is_utf8(text) || text.find('\0') != std::string_view::npos)
    return refused(kind, "got bytes that are no text, expected UTF-8 without NUL");
  std::string source(text);
  LlgMatcherPtr matcher;
  int64_t held = 0;
  Result<void> converted;
  PIE_TRY(run_on_deep_stack(
      [&] {
        if (kind == GrammarKind::kGbnf) {
          Result<std::string> lark = gbnf_to_lark(text);
          if (!lark.ok()) {
            converted = lark.error();
            return;
          }
          source = std::move(*lark);
        }
        const HeapMeter meter(held);
        matcher = compile_within_bounds(*vocabulary, kind, source);
        if (llg_matcher_is_error(matcher.get())) {
          converted = refused(kind, library_text(llg_matcher_get_error(matcher.get())));
          matcher = nullptr;
        }
      },
      cpu_ns));
  PIE_TRY(std::move(converted));
  const uint64_t bytes = kGrammarBytesMin + static_cast<uint64_t>(std::max<int64_t>(held, 0));
  return std::shared_ptr<const Grammar>(
      new Grammar(std::move(vocabulary), std::move(matcher), bytes));
}

LlgMatcherPtr Grammar::start() const {
  const std::lock_guard lock(mutex_);
  return LlgMatcherPtr(llg_clone_matcher(matcher_.get()));
}

}  // namespace pie::grammar
