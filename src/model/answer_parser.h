#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/conversation.h"

namespace pie::model {

/// What a model's answer says.
struct ParsedAnswer {
  std::string text, reasoning;
  std::vector<ToolCall> calls;  ///< with ids; arguments are whole JSON objects once it has ended
  bool operator==(const ParsedAnswer&) const = default;
};

/// What an answer says further. Deltas of one kind (and call) put together are that part of it.
struct AnswerDelta {
  enum class Kind { kText, kReasoning, kCall, kArguments } kind = Kind::kText;
  size_t call = 0;   ///< of kCall and kArguments: which, from 0
  std::string id;    ///< of kCall
  std::string text;  ///< of kCall: the tool's name
};

struct AnswerEnd {
  ParsedAnswer answer;
  std::vector<AnswerDelta> rest;  ///< of it, what no delta had said
};

/// Reads one answer by its model's format while it is generated. Each look reads all of the text
/// that there is, so there is one only when the text has grown by a 64th and by 16 bytes at least:
/// all looks together read at most about 65 times the answer. A look is bounded as rendering is.
/// One thread at a time.
class AnswerParser {
 public:
  explicit AnswerParser(std::shared_ptr<const AnswerFormat> format) : format_(std::move(format)) {}

  enum class Next { kMore, kLook };
  /// Takes the next piece of the answer (whole characters); kLook: advance() has something to do.
  Next add(std::string_view piece);
  /// What the text so far says that was not told. Where it may still turn out otherwise, nothing.
  /// kResourceExhausted, kCancelled, kUnavailable as run_bounded(); a text that does not fit the
  /// format is no error before the end.
  Result<std::vector<AnswerDelta>> advance(std::stop_token stop, uint64_t* cpu_ns);
  /// The whole answer. kInvalidArgument when it does not fit the format, or a call is cut off.
  Result<AnswerEnd> finish(std::stop_token stop, uint64_t* cpu_ns);

  size_t text_bytes() const { return text_.size(); }

 private:
  /// The deltas by which `answer` goes beyond what was told, which they are then part of.
  std::vector<AnswerDelta> told_until(const ParsedAnswer& answer);

  const std::shared_ptr<const AnswerFormat> format_;
  std::string text_;
  size_t looked_bytes_ = 0;
  ParsedAnswer told_;
};

}  // namespace pie::model
