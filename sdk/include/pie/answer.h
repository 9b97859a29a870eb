#pragma once
#include <functional>

#include "pie/context.h"
#include "pie/conversation.h"

namespace inferlet {

/// Gets a piece of what an answer says.
using OnAnswer = std::function<void(const AnswerDelta&)>;

/// The model's answer to a conversation, tools and reasoning included, written by the model's own
/// template into `context`, which outlives the task: what it has of it from earlier turns stays
/// computed. With ToolChoice::kRequired the answer is held to the format of calls. A text that does
/// not fit the model's format is an answer's content as it is, whatever was told of it.
/// `on_delta` is told what the answer says while it is generated, reasoning and calls apart.
Task<Result<Answer>> answer(Context& context, Conversation conversation, Sampler sampler, Stop stop,
                            OnAnswer on_delta = {});

}  // namespace inferlet
