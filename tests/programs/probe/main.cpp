// Drives every function of the ABI by commands from the client: each message is one command, each
// answer one message, "ok ..." or "none" or "err HEX"; "bad command: ..." ends the probe. What is
// wrong with the arguments of a call is the host's business: it ends the instance. Raw imports
// only, no SDK between.
//
// A LIST is numbers with commas ("0,1,2"; "-" is the empty list). HEX is text as hexadecimal digits
// ("-" is the empty text), so that any bytes go through. Words are separated by single blanks.
// Handles have numbers that the probe gives out per kind: 0, 1, 2 ...; the commands that use a
// model, queue, pass, result, blob or subscription without naming one use the one made last or
// chosen by use-KIND.
//
// clang-format off
//   runtime   version | id | args | models | models-with HEX,HEX.. | get-model HEX | set-return HEX
//             debug-query HEX | return HEX (ends, ok) | fail HEX (ends, err) | trap | exit N
//   model     name | description | traits | stop-tokens | template | service-id | page-size
//   queue     queue | use-queue N | queue-service-id | sync | priority low|normal|high
//             queue-debug-query HEX | drop-queue
//   memory    alloc TYPE COUNT | dealloc TYPE LIST | exports TYPE (HEX:COUNT ..)
//             export TYPE LIST HEX | import TYPE HEX | release TYPE HEX
//   pass      pass | use-pass N | drop-pass | tokens LIST @LIST | emb-in LIST @LIST | kv LIST LAST
//             mask LIST;LIST;.. | emb-out LIST @LIST | dist LIST T K|- | out greedy LIST
//             out plain LIST T | out top-k LIST T K | out top-p LIST T P | out min-p LIST T P
//             out top-k-top-p LIST T K P | execute (ok N: the result; none)
//   result    use-result N | ready? | wait | get-tokens | get-dist (ID:P,ID:P,.. ID:P,..)
//             drop-result | wait-any N,N.. (polls results; indices that are ready) | poll-none
//   tokenizer tokenize HEX | detokenize LIST | vocab (count, sum of ids, bytes) | vocab-at N
//             special (ID:HEX ..) | regex
//   chat      render 0|1 ROLEHEX:TEXTHEX ROLEHEX:TEXTHEX ..
//   kvs       kvs-get HEX | kvs-set HEX HEX | kvs-delete HEX | kvs-exists HEX | kvs-list
//   message   send HEX | drop-receive (a receive that is dropped unread) | receive-now (none, HEX)
//             broadcast HEX HEX | subscribe HEX | sub-ready? | sub-get | sub-wait | unsubscribe
//   blob      blob HEX | blob-fill SIZE BYTE | blob-size | blob-read OFFSET COUNT
//             blob-sum (bytes, their sum) | receive-blob | send-blob | drop-blob
//   others    image-embed | image-size | actor (one call each of what is not served)
//   time      now-ns | sleep-ms N
// clang-format on
#include <pie/inferlet.h>

#include "probe.h"

namespace probe {
namespace {

Command find(std::string_view name) {
  for (const auto& table : {runtime_commands(), forward_commands(), text_commands(),
                            message_commands(), unserved_commands()}) {
    for (const Entry& entry : table) {
      if (name == entry.name) return entry.command;
    }
  }
  refuse("'" + std::string(name) + "' is none");
}

}  // namespace
}  // namespace probe

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& /*arguments*/) {
  probe::State state;
  while (!state.ended) {
    probe::Words words(inferlet::receive().wait());
    const probe::Command command = probe::find(words.word());
    const std::string answer = command(state, words);
    if (!words.done()) probe::refuse("'" + words.word() + "' is too much");
    if (!state.ended) inferlet::send(answer);
  }
  if (state.failed) return inferlet::fail(state.end_text);
  return state.end_text;
}
