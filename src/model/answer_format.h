#pragma once
#include <common/chat.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/answer_parser.h"

namespace pie::model {

/// llama.cpp's parser of the answers to one prompt.
class AnswerFormat {
 public:
  /// Small models often leave out the markers of their format: an answer that is nothing but a call
  /// of one of `tools` as JSON, fenced or not, is one, too. To be called within run_bounded().
  AnswerFormat(const common_chat_params& params, const std::vector<common_chat_tool>& tools,
               uint64_t id_seed);

  /// What the text says, which may go on or is whole. Throws when it does not fit. Within
  /// run_bounded().
  enum class TextEnd { kGoesOn, kWhole };
  ParsedAnswer parse(const std::string& text, TextEnd end) const;

 private:
  std::string id_of(size_t call) const;
  common_chat_msg message_of(const std::string& text, TextEnd end) const;

  common_chat_parser_params params_;
  common_chat_parser_params bare_calls_;  ///< empty parser where none may be called
  const uint64_t id_seed_;
};

/// Somebody's mistake in words for people: "[what] got X, expected Y".
struct Mistake final : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The JSON object of a text, which is at most 64 levels deep, with keys of at most 256 bytes and
/// references and patterns of at most 1,024. Throws Mistake about `what`. Within run_bounded().
common_json json_object(const std::string& what, const std::string& text);

}  // namespace pie::model
