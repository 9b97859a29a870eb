#include "host/define.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace pie::host {
namespace {

/// The functions of the ABI (inferlet-host.md, section 1), as the component model names them.
const std::map<std::string, std::vector<std::string>> kFunctions = {
    {"inferlet:core/common",
     {"[constructor]blob",
      "[method]blob.read",
      "[method]blob.size",
      "[method]blob-result.pollable",
      "[method]blob-result.get",
      "[method]model.get-name",
      "[method]model.get-traits",
      "[method]model.get-description",
      "[method]model.get-prompt-template",
      "[method]model.get-stop-tokens",
      "[method]model.get-service-id",
      "[method]model.get-kv-page-size",
      "[method]model.create-queue",
      "[method]queue.get-service-id",
      "[method]queue.synchronize",
      "[method]queue.set-priority",
      "[method]queue.debug-query",
      "[method]synchronization-result.pollable",
      "[method]synchronization-result.get",
      "[method]debug-query-result.pollable",
      "[method]debug-query-result.get",
      "allocate-resources",
      "deallocate-resources",
      "get-all-exported-resources",
      "release-exported-resources",
      "export-resources",
      "import-resources"}},
    {"inferlet:core/forward",
     {"[method]forward-pass.execute", "[method]forward-pass-result.pollable",
      "[method]forward-pass-result.get-distributions", "[method]forward-pass-result.get-tokens",
      "create-forward-pass", "attention-mask", "kv-cache", "input-embeddings", "input-tokens",
      "output-embeddings", "output-distributions", "output-tokens", "output-tokens-top-k",
      "output-tokens-top-p", "output-tokens-min-p", "output-tokens-top-k-top-p"}},
    {"inferlet:core/tokenize",
     {"get-tokenizer", "[method]tokenizer.tokenize", "[method]tokenizer.detokenize",
      "[method]tokenizer.get-vocabs", "[method]tokenizer.get-special-tokens",
      "[method]tokenizer.get-split-regex"}},
    {"inferlet:core/runtime",
     {"get-version", "get-instance-id", "get-arguments", "set-return", "get-model",
      "get-all-models", "get-all-models-with-traits", "debug-query"}},
    {"inferlet:core/kvs",
     {"store-get", "store-set", "store-delete", "store-exists", "store-list-keys"}},
    {"inferlet:core/message",
     {"[method]subscription.pollable", "[method]subscription.get",
      "[method]subscription.unsubscribe", "[method]receive-result.pollable",
      "[method]receive-result.get", "send", "receive", "send-blob", "receive-blob", "broadcast",
      "subscribe"}},
    {"pie:chat/template", {"render"}},
    {"pie:chat/conversation",
     {"render", "[method]rendered.prompt", "[method]rendered.stops", "[method]rendered.grammar",
      "[method]rendered.parse", "[method]parser.feed", "[method]parser.finish"}},
    {"pie:context/snapshot", {"save", "load", "all", "remove"}},
    {"pie:decode/generate",
     {"[static]generation.start", "[static]generation.start-constrained",
      "[static]generation.start-under", "[method]generation.pollable", "[method]generation.read",
      "[method]generation.end", "[method]generation.cancel", "[method]generation.suggest"}},
    {"pie:grammar/grammar",
     {"[static]grammar.from-json-schema", "[static]grammar.from-regex", "[static]grammar.from-lark",
      "[static]grammar.from-gbnf", "[constructor]matcher", "[method]matcher.mask",
      "[method]matcher.constrain", "[method]matcher.validate", "[method]matcher.accept",
      "[method]matcher.rollback", "[method]matcher.fork", "[method]matcher.forced-tokens",
      "[method]matcher.can-stop", "[method]matcher.is-complete"}},
    {"pie:instance/instance", {"id", "user", "parent"}},
    {"pie:instance/log", {"write"}},
    {"pie:instance/children",
     {"[method]child.id", "[method]child.pollable", "[method]child.receive", "[method]child.send",
      "[method]child.send-blob", "[method]child.cancel", "[method]launching.pollable",
      "[method]launching.get", "launch"}},
    {"pie:model/info", {"get"}},
    {"pie:program/source", {"bytes"}},
    {"pie:program/cache", {"load", "store"}},
    {"pie:logits/logits",
     {"[constructor]token-set", "allow", "forbid", "allow-set", "forbid-set", "bias", "bias-set",
      "penalize", "output-tokens", "output-logits", "output-log-probabilities", "output-entropies",
      "execute", "get-logits", "get-log-probabilities", "get-entropies", "get-token-details"}},
    {"inferlet:adapter/common", {"set-adapter", "download-adapter", "upload-adapter"}},
    {"inferlet:zo/evolve", {"set-adapter-seed", "initialize-adapter", "update-adapter"}},
    {"inferlet:image/image", {"embed-image", "calculate-embed-size"}}};

TEST(Define, every_function_of_the_abi_is_there) {
  wasm::HostFunctions functions;
  define_host(functions);
  for (const auto& [interface, names] : kFunctions)
    for (const std::string& name : names)
      EXPECT_NE(functions.find(interface, name), nullptr) << interface << "#" << name;
}

TEST(Define, every_resource_of_the_abi_is_there) {
  wasm::HostFunctions functions;
  define_host(functions);
  for (const char* resource :
       {"common/blob", "common/blob-result", "common/model", "common/queue",
        "common/synchronization-result", "common/debug-query-result", "forward/forward-pass",
        "forward/forward-pass-result", "tokenize/tokenizer", "message/subscription",
        "message/receive-result"}) {
    const auto& all = functions.resources();
    EXPECT_NE(std::find(all.begin(), all.end(), std::string("inferlet:core/") + resource),
              all.end())
        << resource;
  }
}

}  // namespace
}  // namespace pie::host
