#pragma once
// The imports of a program as the canonical ABI lowers them: interface contract wit/, nothing else.
// Programs normally use the typed wrappers of the other headers. Lists and strings that the host
// returns lie in memory of cabi_realloc and are the caller's to free().
#include <cstdint>

namespace inferlet::abi {

using Handle = int32_t;

/// A string or list in linear memory: address and number of elements.
template <class T>
struct Slice {
  T* data;
  uint32_t size;
};
using Text = Slice<char>;
using Bytes = Slice<uint8_t>;
using U32s = Slice<uint32_t>;

/// An option as it lies in memory.
template <class T>
struct Option {
  uint8_t has;
  T value;
};

struct Distribution {
  U32s ids;
  Slice<float> probabilities;
};
struct NamedCount {
  Text name;
  uint32_t count;
};
struct VocabTable {
  U32s ids;
  Slice<Bytes> bytes;
};
struct ChatMessage {
  Text role;
  Text content;
};
struct TextResult {
  uint8_t is_error;
  Text text;
};

#define PIE_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))

// wasi:io/poll
#define PIE_POLL(name) PIE_IMPORT("wasi:io/poll@0.2.4", name)
PIE_POLL("[method]pollable.ready") int32_t pollable_ready(Handle self);
PIE_POLL("[method]pollable.block") void pollable_block(Handle self);
PIE_POLL("poll") void poll(const Handle* in, uint32_t count, U32s* out);
PIE_POLL("[resource-drop]pollable") void pollable_drop(Handle self);

// inferlet:core/common
#define PIE_COMMON(name) PIE_IMPORT("inferlet:core/common", name)
PIE_COMMON("[constructor]blob") Handle blob_new(const uint8_t* data, uint32_t size);
PIE_COMMON("[method]blob.read")
void blob_read(Handle self, uint64_t offset, uint64_t count, Bytes* out);
PIE_COMMON("[method]blob.size") uint64_t blob_size(Handle self);
PIE_COMMON("[resource-drop]blob") void blob_drop(Handle self);
PIE_COMMON("[method]blob-result.pollable") Handle blob_result_pollable(Handle self);
PIE_COMMON("[method]blob-result.get") void blob_result_get(Handle self, Option<Handle>* out);
PIE_COMMON("[resource-drop]blob-result") void blob_result_drop(Handle self);
PIE_COMMON("[method]model.get-name") void model_get_name(Handle self, Text* out);
PIE_COMMON("[method]model.get-traits") void model_get_traits(Handle self, Slice<Text>* out);
PIE_COMMON("[method]model.get-description") void model_get_description(Handle self, Text* out);
PIE_COMMON("[method]model.get-prompt-template")
void model_get_prompt_template(Handle self, Text* out);
PIE_COMMON("[method]model.get-stop-tokens")
void model_get_stop_tokens(Handle self, Slice<Text>* out);
PIE_COMMON("[method]model.get-service-id") uint32_t model_get_service_id(Handle self);
PIE_COMMON("[method]model.get-kv-page-size") uint32_t model_get_kv_page_size(Handle self);
PIE_COMMON("[method]model.create-queue") Handle model_create_queue(Handle self);
PIE_COMMON("[resource-drop]model") void model_drop(Handle self);
PIE_COMMON("[method]queue.get-service-id") uint32_t queue_get_service_id(Handle self);
PIE_COMMON("[method]queue.synchronize") Handle queue_synchronize(Handle self);
PIE_COMMON("[method]queue.set-priority") void queue_set_priority(Handle self, int32_t priority);
PIE_COMMON("[method]queue.debug-query")
Handle queue_debug_query(Handle self, const char* query, uint32_t size);
PIE_COMMON("[resource-drop]queue") void queue_drop(Handle self);
PIE_COMMON("[method]synchronization-result.pollable") Handle synchronization_pollable(Handle self);
PIE_COMMON("[method]synchronization-result.get")
void synchronization_get(Handle self, Option<uint8_t>* out);
PIE_COMMON("[resource-drop]synchronization-result") void synchronization_drop(Handle self);
PIE_COMMON("[method]debug-query-result.pollable") Handle debug_query_pollable(Handle self);
PIE_COMMON("[method]debug-query-result.get") void debug_query_get(Handle self, Option<Text>* out);
PIE_COMMON("[resource-drop]debug-query-result") void debug_query_drop(Handle self);
PIE_COMMON("allocate-resources")
void allocate_resources(Handle queue, uint32_t type, uint32_t count, U32s* out);
PIE_COMMON("deallocate-resources")
void deallocate_resources(Handle queue, uint32_t type, const uint32_t* pointers, uint32_t count);
PIE_COMMON("get-all-exported-resources")
void get_all_exported_resources(Handle queue, uint32_t type, Slice<NamedCount>* out);
PIE_COMMON("release-exported-resources")
void release_exported_resources(Handle queue, uint32_t type, const char* name, uint32_t size);
PIE_COMMON("export-resources")
void export_resources(Handle queue, uint32_t type, const uint32_t* pointers, uint32_t count,
                      const char* name, uint32_t size);
PIE_COMMON("import-resources")
void import_resources(Handle queue, uint32_t type, const char* name, uint32_t size, U32s* out);

// inferlet:core/forward
#define PIE_FORWARD(name) PIE_IMPORT("inferlet:core/forward", name)
PIE_FORWARD("create-forward-pass") Handle create_forward_pass(Handle queue);
PIE_FORWARD("[method]forward-pass.execute")
void forward_pass_execute(Handle self, Option<Handle>* out);
PIE_FORWARD("[resource-drop]forward-pass") void forward_pass_drop(Handle self);
PIE_FORWARD("[method]forward-pass-result.pollable") Handle pass_result_pollable(Handle self);
PIE_FORWARD("[method]forward-pass-result.get-distributions")
void pass_result_get_distributions(Handle self, Option<Slice<Distribution>>* out);
PIE_FORWARD("[method]forward-pass-result.get-tokens")
void pass_result_get_tokens(Handle self, Option<U32s>* out);
PIE_FORWARD("[resource-drop]forward-pass-result") void pass_result_drop(Handle self);
PIE_FORWARD("attention-mask")
void attention_mask(Handle pass, const Slice<const uint32_t>* rows, uint32_t count);
PIE_FORWARD("kv-cache")
void kv_cache(Handle pass, const uint32_t* pages, uint32_t count, uint32_t last_page_length);
PIE_FORWARD("input-embeddings")
void input_embeddings(Handle pass, const uint32_t* slots, uint32_t count, const uint32_t* positions,
                      uint32_t position_count);
PIE_FORWARD("input-tokens")
void input_tokens(Handle pass, const uint32_t* tokens, uint32_t count, const uint32_t* positions,
                  uint32_t position_count);
PIE_FORWARD("output-embeddings")
void output_embeddings(Handle pass, const uint32_t* slots, uint32_t count, const uint32_t* indices,
                       uint32_t index_count);
PIE_FORWARD("output-distributions")
void output_distributions(Handle pass, const uint32_t* indices, uint32_t count, float temperature,
                          int32_t has_top_k, uint32_t top_k);
PIE_FORWARD("output-tokens")
void output_tokens(Handle pass, const uint32_t* indices, uint32_t count, float temperature);
PIE_FORWARD("output-tokens-top-k")
void output_tokens_top_k(Handle pass, const uint32_t* indices, uint32_t count, float temperature,
                         uint32_t top_k);
PIE_FORWARD("output-tokens-top-p")
void output_tokens_top_p(Handle pass, const uint32_t* indices, uint32_t count, float temperature,
                         float top_p);
PIE_FORWARD("output-tokens-min-p")
void output_tokens_min_p(Handle pass, const uint32_t* indices, uint32_t count, float temperature,
                         float min_p);
PIE_FORWARD("output-tokens-top-k-top-p")
void output_tokens_top_k_top_p(Handle pass, const uint32_t* indices, uint32_t count,
                               float temperature, uint32_t top_k, float top_p);

// inferlet:core/tokenize
#define PIE_TOKENIZE(name) PIE_IMPORT("inferlet:core/tokenize", name)
PIE_TOKENIZE("get-tokenizer") Handle get_tokenizer(Handle model);
PIE_TOKENIZE("[method]tokenizer.tokenize")
void tokenizer_tokenize(Handle self, const char* text, uint32_t size, U32s* out);
PIE_TOKENIZE("[method]tokenizer.detokenize")
void tokenizer_detokenize(Handle self, const uint32_t* tokens, uint32_t count, Text* out);
PIE_TOKENIZE("[method]tokenizer.get-vocabs")
void tokenizer_get_vocabs(Handle self, VocabTable* out);
PIE_TOKENIZE("[method]tokenizer.get-special-tokens")
void tokenizer_get_special_tokens(Handle self, VocabTable* out);
PIE_TOKENIZE("[method]tokenizer.get-split-regex")
void tokenizer_get_split_regex(Handle self, Text* out);
PIE_TOKENIZE("[resource-drop]tokenizer") void tokenizer_drop(Handle self);

// inferlet:core/runtime
#define PIE_RUNTIME(name) PIE_IMPORT("inferlet:core/runtime", name)
PIE_RUNTIME("get-version") void runtime_get_version(Text* out);
PIE_RUNTIME("get-instance-id") void runtime_get_instance_id(Text* out);
PIE_RUNTIME("get-arguments") void runtime_get_arguments(Slice<Text>* out);
PIE_RUNTIME("set-return") void runtime_set_return(const char* value, uint32_t size);
PIE_RUNTIME("get-model")
void runtime_get_model(const char* name, uint32_t size, Option<Handle>* out);
PIE_RUNTIME("get-all-models") void runtime_get_all_models(Slice<Text>* out);
PIE_RUNTIME("get-all-models-with-traits")
void runtime_get_all_models_with_traits(const Text* traits, uint32_t count, Slice<Text>* out);
PIE_RUNTIME("debug-query") Handle runtime_debug_query(const char* query, uint32_t size);

// inferlet:core/kvs
#define PIE_KVS(name) PIE_IMPORT("inferlet:core/kvs", name)
PIE_KVS("store-get") void kvs_get(const char* key, uint32_t size, Option<Text>* out);
PIE_KVS("store-set")
void kvs_set(const char* key, uint32_t size, const char* value, uint32_t value_size);
PIE_KVS("store-delete") void kvs_delete(const char* key, uint32_t size);
PIE_KVS("store-exists") int32_t kvs_exists(const char* key, uint32_t size);
PIE_KVS("store-list-keys") void kvs_list_keys(Slice<Text>* out);

// inferlet:core/message
#define PIE_MESSAGE(name) PIE_IMPORT("inferlet:core/message", name)
PIE_MESSAGE("[method]subscription.pollable") Handle subscription_pollable(Handle self);
PIE_MESSAGE("[method]subscription.get") void subscription_get(Handle self, Option<Text>* out);
PIE_MESSAGE("[method]subscription.unsubscribe") void subscription_unsubscribe(Handle self);
PIE_MESSAGE("[resource-drop]subscription") void subscription_drop(Handle self);
PIE_MESSAGE("[method]receive-result.pollable") Handle receive_result_pollable(Handle self);
PIE_MESSAGE("[method]receive-result.get") void receive_result_get(Handle self, Option<Text>* out);
PIE_MESSAGE("[resource-drop]receive-result") void receive_result_drop(Handle self);
PIE_MESSAGE("send") void message_send(const char* message, uint32_t size);
PIE_MESSAGE("receive") Handle message_receive();
PIE_MESSAGE("send-blob") void message_send_blob(Handle blob);
PIE_MESSAGE("receive-blob") Handle message_receive_blob();
PIE_MESSAGE("broadcast")
void message_broadcast(const char* topic, uint32_t topic_size, const char* message, uint32_t size);
PIE_MESSAGE("subscribe") Handle message_subscribe(const char* topic, uint32_t size);

// pie:chat/template
PIE_IMPORT("pie:chat/template@0.1.0", "render")
void chat_render(Handle model, const ChatMessage* messages, uint32_t count,
                 int32_t add_generation_prompt, TextResult* out);

// pie:chat/conversation
struct ToolCall {
  Text id, name, arguments;
};
struct ConversationMessage {
  Text role, content, reasoning;
  Slice<ToolCall> tool_calls;
  Text tool_call_id, tool_name;
};
struct ToolDescription {
  Text name, description, parameters;
};
struct GrammarTrigger {
  uint8_t kind;
  Text text;
};
struct ToolGrammar {
  Text text;
  uint8_t lazy;
  Slice<GrammarTrigger> triggers;
};
struct AnswerDelta {
  uint8_t kind;  // text, reasoning, call, arguments
  union {
    Text text;
    struct {
      uint32_t index;
      Text id, name;
    } call;
    struct {
      uint32_t index;
      Text text;
    } arguments;
  } of;
};
struct RenderResult {
  uint8_t is_error;
  union {
    Handle rendered;
    Text error;
  } of;
};
struct FeedResult {
  uint8_t is_error;
  union {
    Slice<AnswerDelta> deltas;
    Text error;
  } of;
};
struct AnswerEnding {
  Text content, reasoning;
  Slice<ToolCall> tool_calls;
  Slice<AnswerDelta> rest;
};
struct FinishResult {
  uint8_t is_error;
  union {
    AnswerEnding ending;
    Text error;
  } of;
};
#define PIE_CONVERSATION(name) PIE_IMPORT("pie:chat/conversation@0.1.0", name)
PIE_CONVERSATION("render")
void conversation_render(Handle model, const ConversationMessage* messages, uint32_t message_count,
                         const ToolDescription* tools, uint32_t tool_count, int32_t tool_choice,
                         int32_t parallel_tool_calls, const char* template_arguments,
                         uint32_t template_arguments_size, int32_t add_generation_prompt,
                         RenderResult* out);
PIE_CONVERSATION("[method]rendered.prompt") void rendered_prompt(Handle self, Text* out);
PIE_CONVERSATION("[method]rendered.stops") void rendered_stops(Handle self, Slice<Text>* out);
PIE_CONVERSATION("[method]rendered.grammar")
void rendered_grammar(Handle self, Option<ToolGrammar>* out);
PIE_CONVERSATION("[method]rendered.parse") Handle rendered_parse(Handle self);
PIE_CONVERSATION("[resource-drop]rendered") void rendered_drop(Handle self);
PIE_CONVERSATION("[method]parser.feed")
void answer_parser_feed(Handle self, const char* piece, uint32_t size, FeedResult* out);
PIE_CONVERSATION("[method]parser.finish") void answer_parser_finish(Handle self, FinishResult* out);
PIE_CONVERSATION("[resource-drop]parser") void answer_parser_drop(Handle self);
#undef PIE_CONVERSATION

// pie:model/info
struct ModelFacts {
  uint32_t context_length;
  uint32_t vocab_size;
  Option<uint32_t> bos_token;
  uint8_t adds_bos;
};
PIE_IMPORT("pie:model/info@0.1.0", "get") void model_info_get(Handle model, ModelFacts* out);

// pie:context/snapshot
struct LoadedSnapshot {
  U32s pages;
  uint32_t last_page_len;
  U32s tokens;
};
struct SnapshotLoadResult {
  uint8_t is_error;
  union {
    LoadedSnapshot loaded;
    Text error;
  } of;
};
struct SnapshotEntry {
  Text name;
  uint32_t pages;
  uint32_t tokens;
  uint64_t bytes;
  uint64_t seconds_left;
  uint8_t pinned;
};
struct SnapshotListResult {
  uint8_t is_error;
  union {
    Slice<SnapshotEntry> entries;
    Text error;
  } of;
};
#define PIE_SNAPSHOT(name) PIE_IMPORT("pie:context/snapshot@0.1.0", name)
PIE_SNAPSHOT("save")
void snapshot_save(Handle queue, const char* name, uint32_t name_size, const uint32_t* pages,
                   uint32_t page_count, uint32_t last_page_len, const uint32_t* tokens,
                   uint32_t token_count, uint64_t ttl_seconds, int32_t pinned, TextResult* out);
PIE_SNAPSHOT("load")
void snapshot_load(Handle queue, const char* name, uint32_t size, SnapshotLoadResult* out);
PIE_SNAPSHOT("all") void snapshot_all(Handle queue, SnapshotListResult* out);
PIE_SNAPSHOT("remove")
void snapshot_remove(Handle queue, const char* name, uint32_t size, TextResult* out);

// pie:logits/logits
struct TokenDetails {
  float log_probability;
  float surprise;
};
struct ExecuteResult {
  uint8_t is_error;
  union {
    Option<Handle> result;
    Text error;
  } of;
};
#define PIE_LOGITS(name) PIE_IMPORT("pie:logits/logits@0.1.0", name)
PIE_LOGITS("[constructor]token-set") Handle token_set_new(const uint8_t* bits, uint32_t size);
PIE_LOGITS("[resource-drop]token-set") void token_set_drop(Handle self);
PIE_LOGITS("allow")
void logits_allow(Handle pass, const uint32_t* indices, uint32_t count, const uint32_t* tokens,
                  uint32_t token_count, TextResult* out);
PIE_LOGITS("forbid")
void logits_forbid(Handle pass, const uint32_t* indices, uint32_t count, const uint32_t* tokens,
                   uint32_t token_count, TextResult* out);
PIE_LOGITS("allow-set")
void logits_allow_set(Handle pass, const uint32_t* indices, uint32_t count, Handle set,
                      TextResult* out);
PIE_LOGITS("forbid-set")
void logits_forbid_set(Handle pass, const uint32_t* indices, uint32_t count, Handle set,
                       TextResult* out);
PIE_LOGITS("bias")
void logits_bias(Handle pass, const uint32_t* indices, uint32_t count, const uint32_t* tokens,
                 uint32_t token_count, const float* values, uint32_t value_count, TextResult* out);
PIE_LOGITS("bias-set")
void logits_bias_set(Handle pass, const uint32_t* indices, uint32_t count, Handle set, float value,
                     TextResult* out);
PIE_LOGITS("penalize")
void logits_penalize(Handle pass, const uint32_t* indices, uint32_t count, const uint32_t* tokens,
                     uint32_t token_count, float repetition, float presence, float frequency,
                     TextResult* out);
PIE_LOGITS("output-tokens")
void logits_output_tokens(Handle pass, const uint32_t* indices, uint32_t count, float temperature,
                          uint32_t top_k, float top_p, float min_p, float typical_p,
                          float xtc_probability, float xtc_threshold, float surprise_max,
                          int32_t has_draw, uint64_t seed, uint64_t position, int32_t details,
                          TextResult* out);
PIE_LOGITS("output-logits")
void logits_output_logits(Handle pass, const uint32_t* indices, uint32_t count, uint32_t best,
                          TextResult* out);
PIE_LOGITS("output-log-probabilities")
void logits_output_log_probabilities(Handle pass, uint32_t index, const uint32_t* tokens,
                                     uint32_t token_count, TextResult* out);
PIE_LOGITS("output-entropies")
void logits_output_entropies(Handle pass, const uint32_t* indices, uint32_t count, TextResult* out);
PIE_LOGITS("execute") void logits_execute(Handle pass, ExecuteResult* out);
PIE_LOGITS("get-logits") void logits_get_logits(Handle of, Option<Slice<Distribution>>* out);
PIE_LOGITS("get-log-probabilities")
void logits_get_log_probabilities(Handle of, Option<Slice<Distribution>>* out);
PIE_LOGITS("get-entropies") void logits_get_entropies(Handle of, Option<Slice<float>>* out);
PIE_LOGITS("get-token-details")
void logits_get_token_details(Handle of, Option<Slice<TokenDetails>>* out);

// pie:grammar/grammar
struct GrammarResult {
  uint8_t is_error;
  union {
    Handle grammar;
    Text error;
  } of;
};
struct CountResult {
  uint8_t is_error;
  union {
    uint32_t count;
    Text error;
  } of;
};
struct U32sResult {
  uint8_t is_error;
  union {
    U32s numbers;
    Text error;
  } of;
};
#define PIE_GRAMMAR(name) PIE_IMPORT("pie:grammar/grammar@0.1.0", name)
PIE_GRAMMAR("[static]grammar.from-json-schema")
void grammar_from_json_schema(Handle model, const char* text, uint32_t size, GrammarResult* out);
PIE_GRAMMAR("[static]grammar.from-regex")
void grammar_from_regex(Handle model, const char* text, uint32_t size, GrammarResult* out);
PIE_GRAMMAR("[static]grammar.from-lark")
void grammar_from_lark(Handle model, const char* text, uint32_t size, GrammarResult* out);
PIE_GRAMMAR("[static]grammar.from-gbnf")
void grammar_from_gbnf(Handle model, const char* text, uint32_t size, GrammarResult* out);
PIE_GRAMMAR("[resource-drop]grammar") void grammar_drop(Handle self);
PIE_GRAMMAR("[constructor]matcher") Handle matcher_new(Handle grammar);
PIE_GRAMMAR("[resource-drop]matcher") void matcher_drop(Handle self);
PIE_GRAMMAR("[method]matcher.mask") void matcher_mask(Handle self, U32sResult* out);
PIE_GRAMMAR("[method]matcher.constrain")
void matcher_constrain(Handle self, Handle pass, uint32_t index, TextResult* out);
PIE_GRAMMAR("[method]matcher.validate")
void matcher_validate(Handle self, const uint32_t* tokens, uint32_t count, CountResult* out);
PIE_GRAMMAR("[method]matcher.accept")
void matcher_accept(Handle self, const uint32_t* tokens, uint32_t count, TextResult* out);
PIE_GRAMMAR("[method]matcher.rollback")
void matcher_rollback(Handle self, uint32_t count, TextResult* out);
PIE_GRAMMAR("[method]matcher.fork") Handle matcher_fork(Handle self);
PIE_GRAMMAR("[method]matcher.forced-tokens")
void matcher_forced_tokens(Handle self, U32sResult* out);
PIE_GRAMMAR("[method]matcher.can-stop") int32_t matcher_can_stop(Handle self);
PIE_GRAMMAR("[method]matcher.is-complete") int32_t matcher_is_complete(Handle self);

#undef PIE_GRAMMAR
#undef PIE_LOGITS
#undef PIE_SNAPSHOT
#undef PIE_POLL
#undef PIE_COMMON
#undef PIE_FORWARD
#undef PIE_TOKENIZE
#undef PIE_RUNTIME
#undef PIE_KVS
#undef PIE_MESSAGE

}  // namespace inferlet::abi
