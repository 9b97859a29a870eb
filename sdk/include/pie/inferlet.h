#pragma once
// Everything a program needs. A program defines inferlet_main; see sdk/README.md.
#include "pie/arguments.h"
#include "pie/beam.h"
#include "pie/chat.h"
#include "pie/context.h"
#include "pie/conversation.h"
#include "pie/forward.h"
#include "pie/grammar.h"
#include "pie/logits.h"
#include "pie/message.h"
#include "pie/model.h"
#include "pie/poll.h"
#include "pie/result.h"
#include "pie/runtime.h"
#include "pie/sampler.h"
#include "pie/snapshot.h"
#include "pie/stop.h"
#include "pie/text_stream.h"

/// The program. The value becomes the message of the Completed event (as by set_return; an empty
/// one leaves what set_return was given); an error ends the instance with an Exception.
inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments);
