#pragma once
#include <memory>
#include <string>

#include "model/chat_template.h"

namespace pie::model {

/// Parses a template. One that does not parse is kept: its source() can be read, and render()
/// fails with the parser's words (kUnsupported), so that a model stays usable without it.
/// `bos` and `eos` are the texts that the template may ask for.
std::unique_ptr<ChatTemplate> make_jinja_template(std::string source, std::string bos,
                                                  std::string eos);

}  // namespace pie::model
