#include "model/split_regex.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace pie::model {
namespace {

// Patterns as the published tokenizer.json files state them (Split, Digits and ByteLevel steps).
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Digits one by one, then GPT-2's: as one expression, a run of spaces before a digit stays whole.
constexpr std::string_view kDigitsThenGpt2 =
    R"(\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Row {
  std::string_view pre;
  std::string_view pattern;
};

constexpr std::array kRows = {
    Row{"smollm", kDigitsThenGpt2},
    Row{"starcoder", kDigitsThenGpt2},
    Row{"refact", kDigitsThenGpt2},
    Row{"command-r", kDigitsThenGpt2},
    Row{"gpt-2", kGpt2},
    Row{"olmo", kGpt2},
    Row{"llama-bpe", kLlama3},
    Row{"llama3", kLlama3},
    Row{"llama-v3", kLlama3},
    Row{"dbrx", kLlama3},
    Row{"smaug-bpe", kLlama3},
    Row{"qwen2", kQwen2},
    Row{"stablelm2", kQwen2},
};

}  // namespace

Result<std::string> split_regex_of(std::string_view pre_tokenizer) {
  const auto* found = std::find_if(kRows.begin(), kRows.end(),
                                   [&](const Row& row) { return row.pre == pre_tokenizer; });
  if (found != kRows.end()) return std::string(found->pattern);
  std::string served;
  for (const Row& row : kRows) served += (served.empty() ? "" : ", ") + std::string(row.pre);
  return Error{
      ErrorCode::kUnsupported,
      fmt::format("[tokenizer.ggml.pre] got '{}', expected one of: {}", pre_tokenizer, served)};
}

}  // namespace pie::model
