#pragma once
// The imports of wasi:http and wasi:io/streams as the canonical ABI lowers them
// (wit/deps/wasi-http); pie/http.h has the typed wrappers. What the host returns is the caller's to
// free().
#include <cstdint>

#include "pie/abi.h"

namespace inferlet::abi {

/// result<T, E> as it lies in memory where both are of at most 4 bytes' alignment.
template <class T>
struct Outcome {
  uint8_t is_error;
  T value;
};
/// stream-error, or the value of a stream's method.
struct StreamFailure {
  uint8_t is_closed;
  Handle error;
};
union ReadValue {
  Bytes bytes;
  StreamFailure failure;
};
/// A variant whose cases carry a string or nothing.
struct Case {
  uint8_t number;
  Text text;
};
struct Field {
  Text name;
  Bytes value;
};
/// error-code with what its cases carry, which we don't look at.
struct ErrorCode {
  alignas(8) uint8_t number;
  uint8_t payload[31];
};
/// result<T, error-code> for a handle or nothing.
struct ErrorOutcome {
  uint8_t is_error;
  union {
    ErrorCode error;
    Handle handle;
  };
};
/// option<result<result<T, error-code>>> for a handle.
struct FutureOutcome {
  uint8_t has;
  alignas(8) uint8_t was_taken;
  ErrorOutcome outcome;
};
static_assert(sizeof(ErrorCode) == 32 && sizeof(ErrorOutcome) == 40 && sizeof(FutureOutcome) == 56);
static_assert(sizeof(Outcome<ReadValue>) == 12);

#define PIE_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))

// wasi:io
#define PIE_STREAMS(name) PIE_IMPORT("wasi:io/streams@0.2.4", name)
PIE_STREAMS("[method]input-stream.blocking-read")
void input_stream_blocking_read(Handle self, uint64_t count, Outcome<ReadValue>* out);
PIE_STREAMS("[method]input-stream.subscribe") Handle input_stream_subscribe(Handle self);
PIE_STREAMS("[resource-drop]input-stream") void input_stream_drop(Handle self);
PIE_STREAMS("[method]output-stream.blocking-write-and-flush")
void output_stream_blocking_write(Handle self, const char* bytes, uint32_t count,
                                  Outcome<StreamFailure>* out);
PIE_STREAMS("[method]output-stream.subscribe") Handle output_stream_subscribe(Handle self);
PIE_STREAMS("[resource-drop]output-stream") void output_stream_drop(Handle self);
PIE_IMPORT("wasi:io/error@0.2.4", "[method]error.to-debug-string")
void io_error_text(Handle self, Text* out);
PIE_IMPORT("wasi:io/error@0.2.4", "[resource-drop]error") void io_error_drop(Handle self);

// wasi:http/types
#define PIE_HTTP(name) PIE_IMPORT("wasi:http/types@0.2.4", name)
PIE_HTTP("[static]fields.from-list")
void fields_from_list(const Field* entries, uint32_t count, Outcome<Handle>* out);
PIE_HTTP("[method]fields.entries") void fields_entries(Handle self, Slice<Field>* out);
PIE_HTTP("[resource-drop]fields") void fields_drop(Handle self);
PIE_HTTP("[method]incoming-request.method") void request_method(Handle self, Case* out);
PIE_HTTP("[method]incoming-request.path-with-query")
void request_target(Handle self, Option<Text>* out);
PIE_HTTP("[method]incoming-request.authority")
void request_authority(Handle self, Option<Text>* out);
PIE_HTTP("[method]incoming-request.headers") Handle request_headers(Handle self);
PIE_HTTP("[method]incoming-request.consume")
void request_consume(Handle self, Outcome<Handle>* out);
PIE_HTTP("[resource-drop]incoming-request") void request_drop(Handle self);
PIE_HTTP("[method]incoming-body.stream")
void incoming_body_stream(Handle self, Outcome<Handle>* out);
PIE_HTTP("[resource-drop]incoming-body") void incoming_body_drop(Handle self);
PIE_HTTP("[constructor]outgoing-response") Handle response_new(Handle fields);
PIE_HTTP("[method]outgoing-response.set-status-code")
int32_t response_set_status(Handle self, int32_t status);
PIE_HTTP("[method]outgoing-response.body") void response_body(Handle self, Outcome<Handle>* out);
PIE_HTTP("[resource-drop]outgoing-response") void response_drop(Handle self);
/// result<outgoing-response, error-code> flattened: is_error, the handle or the error's number, and
/// what the error carries.
PIE_HTTP("[static]response-outparam.set")
void response_outparam_set(Handle self, int32_t is_error, Handle response_or_error, int32_t p0,
                           int64_t p1, int32_t p2, int32_t p3, int32_t p4, int32_t p5);
PIE_HTTP("[resource-drop]response-outparam") void response_outparam_drop(Handle self);
PIE_HTTP("[method]outgoing-body.write") void outgoing_body_write(Handle self, Outcome<Handle>* out);
PIE_HTTP("[static]outgoing-body.finish")
void outgoing_body_finish(Handle self, int32_t has_trailers, Handle trailers, ErrorOutcome* out);
PIE_HTTP("[resource-drop]outgoing-body") void outgoing_body_drop(Handle self);
PIE_HTTP("[constructor]outgoing-request") Handle outgoing_request_new(Handle fields);
PIE_HTTP("[method]outgoing-request.set-method")
int32_t outgoing_request_set_method(Handle self, int32_t method, const char* name, uint32_t size);
PIE_HTTP("[method]outgoing-request.set-scheme")
int32_t outgoing_request_set_scheme(Handle self, int32_t has, int32_t scheme, const char* name,
                                    uint32_t size);
PIE_HTTP("[method]outgoing-request.set-authority")
int32_t outgoing_request_set_authority(Handle self, int32_t has, const char* text, uint32_t size);
PIE_HTTP("[method]outgoing-request.set-path-with-query")
int32_t outgoing_request_set_target(Handle self, int32_t has, const char* text, uint32_t size);
PIE_HTTP("[method]outgoing-request.body")
void outgoing_request_body(Handle self, Outcome<Handle>* out);
PIE_HTTP("[resource-drop]outgoing-request") void outgoing_request_drop(Handle self);
PIE_HTTP("[method]future-incoming-response.subscribe")
Handle future_response_subscribe(Handle self);
PIE_HTTP("[method]future-incoming-response.get")
void future_response_get(Handle self, FutureOutcome* out);
PIE_HTTP("[resource-drop]future-incoming-response") void future_response_drop(Handle self);
PIE_HTTP("[method]incoming-response.status") int32_t incoming_response_status(Handle self);
PIE_HTTP("[method]incoming-response.headers") Handle incoming_response_headers(Handle self);
PIE_HTTP("[method]incoming-response.consume")
void incoming_response_consume(Handle self, Outcome<Handle>* out);
PIE_HTTP("[resource-drop]incoming-response") void incoming_response_drop(Handle self);

PIE_IMPORT("wasi:http/outgoing-handler@0.2.4", "handle")
void outgoing_handler_handle(Handle request, int32_t has_options, Handle options,
                             ErrorOutcome* out);

#undef PIE_STREAMS
#undef PIE_HTTP

}  // namespace inferlet::abi
