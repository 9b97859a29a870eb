#pragma once
// Everything a program needs. A program defines inferlet_main; see sdk/README.md.
#include "pie/adapter.h"
#include "pie/answer.h"
#include "pie/arguments.h"
#include "pie/beam.h"
#include "pie/chat.h"
#include "pie/children.h"
#include "pie/clock.h"
#include "pie/context.h"
#include "pie/conversation.h"
#include "pie/describe.h"
#include "pie/draft.h"
#include "pie/export.h"
#include "pie/forward.h"
#include "pie/grammar.h"
#include "pie/json.h"
#include "pie/kvs.h"
#include "pie/log.h"
#include "pie/logits.h"
#include "pie/message.h"
#include "pie/model.h"
#include "pie/ok.h"
#include "pie/poll.h"
#include "pie/result.h"
#include "pie/runtime.h"
#include "pie/sampler.h"
#include "pie/snapshot.h"
#include "pie/stop.h"
#include "pie/task.h"
#include "pie/text_stream.h"
#include "pie/tools.h"
#include "pie/when.h"

/// The program, in one of two forms. The value becomes the message of the Completed event (as by
/// set_return; an empty one leaves what set_return was given); an error ends the instance with an
/// Exception. Tasks that still run when it returns end where they are.
inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments);
/// As a coroutine, which awaits.
inferlet::Task<inferlet::Result<std::string>> inferlet_main(std::vector<std::string> arguments);
