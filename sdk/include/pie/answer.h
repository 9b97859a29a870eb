#pragma once
#include "pie/context.h"
#include "pie/conversation.h"

namespace inferlet {

/// The model's answer to a conversation, tools and reasoning included, written by the model's own
/// template into `context`, which outlives the task: what it has of it from earlier turns stays
/// computed. With ToolChoice::kRequired the answer is held to the format of calls. A text that does
/// not fit the model's format is an answer's content as it is. `on_text` gets the raw text.
Task<Result<Answer>> answer(Context& context, Conversation conversation, Sampler sampler, Stop stop,
                            Context::OnText on_text = {});

}  // namespace inferlet
